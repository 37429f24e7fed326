//! Says where two outcomes differ.

use std::fmt::Debug;

use super::input::Cut;

/// Panics at the first element that differs.
pub(crate) fn same_list<T: Debug + PartialEq>(other: &[T], whole: &[T], cut: Cut) {
    let differs = other.iter().zip(whole).position(|(other, whole)| other != whole);
    let at = differs.unwrap_or(other.len().min(whole.len()));
    if differs.is_some() || other.len() != whole.len() {
        let [cut_lines, whole_lines] = [other, whole].map(|list| format!("{:#?}", list.get(at)));
        let of = [other.len(), whole.len()];
        panic!("{cut:?}: element {at} of {of:?}\n{}", differing_lines(&cut_lines, &whole_lines));
    }
}

fn differing_lines(cut: &str, whole: &str) -> String {
    let (mut cut, mut whole) = (cut.lines(), whole.lines());
    let mut lines = Vec::new();
    loop {
        match (cut.next(), whole.next()) {
            (None, None) => return lines.join("\n"),
            (cut, whole) if cut == whole => {}
            (cut, whole) => {
                lines.extend(cut.map(|line| format!("  cut: {line}")));
                lines.extend(whole.map(|line| format!("whole: {line}")));
            }
        }
    }
}

/// Panics at the first counter that differs. `each` is the method of that name.
pub(crate) fn same_counters<C: Debug + PartialEq>(
    other: &C,
    whole: &C,
    each: fn(&C, &mut dyn FnMut(&'static str, u64)),
    cut: Cut,
) {
    let list = |counters: &C| {
        let mut list = Vec::new();
        each(counters, &mut |name, value| list.push((name, value)));
        list
    };
    if other != whole {
        same_list(&list(other), &list(whole), cut);
    }
}
