//! The workbench for signature sets: a set in, one [`Report`](report::Report) of
//! what it is worth out, in the formats that people and pipelines read.
//!
//! [`carrier`] puts the values of examples into real traffic, [`evasion`] writes
//! that traffic in other ways that mean the same, and [`examples`] holds the
//! engine's answers against what the set says. [`fuzz`] makes traffic up and holds
//! both set and engine to what must hold for any.

pub mod bench;
mod bytes;
pub mod captures;
pub mod carrier;
pub mod check;
mod documents;
pub mod evasion;
pub mod examples;
pub mod fuzz;
pub mod list;
mod random;
pub mod report;
mod suppressions;
mod tls;
mod traffic;
mod websocket;
mod wire;

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use crate::engine::Engine;
    use crate::signature::SignatureSet;

    /// The engine as it is shipped.
    pub(super) static ENGINE: LazyLock<Engine> =
        LazyLock::new(|| Engine::builder().build().unwrap());

    /// A set of one signature, which is given without its head.
    pub(super) fn planted(text: &str) -> SignatureSet {
        let text = format!(
            "version = 1\n[[signature]]\nid = \"planted\"\ntitle = \"Planted\"\n\
             strength = \"strong\"\nreferences = [\"https://example.com\"]\n{text}\n"
        );
        SignatureSet::parse("planted.toml", &text).unwrap()
    }
}
