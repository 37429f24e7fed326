//! Counters: every packet, drop, gap, error, cap and eviction is counted.
//!
//! A module declares its counters once with [`counters!`]; the macro derives
//! what `--stats`, the metrics and the report need: names, merging of the
//! counters of several workers, and a walk over name and value.

/// Declares a struct of `u64` counters with documented fields.
///
/// ```
/// mcpwatch::counters! {
///     /// What a parser saw.
///     pub struct ExampleCounters {
///         /// Messages read.
///         messages,
///         /// Messages dropped because a cap was reached.
///         dropped,
///     }
/// }
/// let mut total = ExampleCounters { messages: 1, ..Default::default() };
/// total.merge(&ExampleCounters { messages: 2, dropped: 1 });
/// let mut seen = Vec::new();
/// total.each(&mut |name, value| seen.push((name, value)));
/// assert_eq!(seen, [("messages", 3), ("dropped", 1)]);
/// ```
#[macro_export]
macro_rules! counters {
    (
        $(#[$meta:meta])*
        pub struct $name:ident { $( $(#[$field_meta:meta])* $field:ident ),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $( $(#[$field_meta])* pub $field: u64, )* }

        impl $name {
            /// Adds the counters of `other` (another worker's) to these.
            pub fn merge(&mut self, other: &Self) {
                $( self.$field += other.$field; )*
            }

            /// Calls `visit` with the name and value of each counter, in the
            /// order of declaration.
            pub fn each(&self, visit: &mut dyn FnMut(&'static str, u64)) {
                $( visit(stringify!($field), self.$field); )*
            }
        }
    };
}
