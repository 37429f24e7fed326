//! Panics that are caught: where they were, without the noise.

use std::any::Any;
use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// Where the last panic of this thread was, while it is waited for.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs what catches its panics; a panic is not printed, and its place and message
/// are given back.
pub(crate) fn quietly<T>(
    run: impl FnOnce() -> Result<T, Box<dyn Any + Send>>,
) -> Result<T, (String, String)> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let waiting = PLACE.with_borrow_mut(|place| {
                let known = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
                place.as_mut().map(|place| *place = known.unwrap_or_default()).is_some()
            });
            if !waiting {
                usual(info);
            }
        }));
    });
    PLACE.set(Some(String::new()));
    let result = run();
    let place = PLACE.take().unwrap_or_default();
    result.map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        (place, text.unwrap_or_default())
    })
}

/// Runs code of a library that may panic over bad input; the place and the message
/// of a panic are given back.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, (String, String)> {
    // What was under way is not used again after a panic.
    quietly(|| panic::catch_unwind(panic::AssertUnwindSafe(run)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_where_it_was() {
        let caught = quietly(|| panic::catch_unwind(|| assert_eq!(1 + 1, 3, "sum")));
        let (place, message) = caught.unwrap_err();
        assert!(place.starts_with(file!()), "{place}");
        assert!(message.contains("sum"), "{message}");
        assert_eq!(quietly(|| panic::catch_unwind(|| 7)), Ok(7));
    }
}
