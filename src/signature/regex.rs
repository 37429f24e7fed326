//! Regular expressions as signatures use them: bytes, ASCII classes, no Unicode.

use std::ops::Range;

use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::syntax;
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Hir, Look};

use super::automaton::MAX_BEGINNING;
use super::automaton::program::Expression;

/// Bytes of one expression, at most.
const MAX_BYTES: usize = 4 * 1024;

/// Nesting of groups, at most.
const MAX_NESTING: u32 = 64;

/// Memory of one compiled expression, at most.
const MAX_NFA_BYTES: usize = 512 * 1024;

/// What is wrong with an expression.
#[derive(Debug)]
pub(crate) struct RegexProblem {
    pub(crate) message: String,
    /// Bytes of the expression, where known.
    pub(crate) span: Option<Range<usize>>,
}

/// Checks syntax and size; how many bytes the compiled expression takes.
pub(crate) fn check(text: &str, ignore_case: bool) -> Result<usize, RegexProblem> {
    if text.len() > MAX_BYTES {
        let message = format!("the expression is longer than {MAX_BYTES} bytes");
        return Err(RegexProblem { message, span: None });
    }
    let hir = parse(text, ignore_case)?;
    nfa(&hir).map(|nfa| nfa.memory_usage())
}

/// The expression's meaning.
pub(crate) fn parse(text: &str, ignore_case: bool) -> Result<Hir, RegexProblem> {
    let config = syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .case_insensitive(ignore_case)
        .nest_limit(MAX_NESTING);
    syntax::parse_with(text, &config).map_err(|error| match error {
        regex_syntax::Error::Parse(error) => RegexProblem {
            message: error.kind().to_string(),
            span: Some(error.span().start.offset..error.span().end.offset),
        },
        regex_syntax::Error::Translate(error) => RegexProblem {
            message: error.kind().to_string(),
            span: Some(error.span().start.offset..error.span().end.offset),
        },
        error => RegexProblem { message: error.to_string(), span: None },
    })
}

/// The automaton of an expression, anchored at its start.
pub(crate) fn nfa(hir: &Hir) -> Result<NFA, RegexProblem> {
    let config = thompson::Config::new()
        .utf8(false)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(MAX_NFA_BYTES));
    thompson::Compiler::new().configure(config).build_from_hir(hir).map_err(|error| {
        let message = match error.size_limit() {
            Some(limit) => format!(
                "the expression needs more than {} KiB: lower its repetition counts",
                limit / 1024
            ),
            None => error.to_string(),
        };
        RegexProblem { message, span: None }
    })
}

/// What automata are made from.
pub(crate) fn expression(hir: &Hir) -> Result<Expression, RegexProblem> {
    Ok(Expression { nfa: nfa(hir)?, beginnings: beginnings(hir) })
}

/// How texts that the expression matches begin, as many bytes as are of use; none if
/// that may be anything, or depends on what stands before it.
fn beginnings(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let looks = hir.properties().look_set();
    if looks.iter().any(|look| !matches!(look, Look::Start | Look::End)) {
        return None;
    }
    let found = Extractor::new().limit_literal_len(MAX_BEGINNING).extract(hir);
    let literals = found.literals()?;
    Some(literals.iter().map(|literal| literal.as_bytes().to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_repeats_and_deep_nesting_are_refused() {
        let nested = format!("{}a{}", "(".repeat(500), ")".repeat(500));
        let long = "a".repeat(MAX_BYTES + 1);
        for text in ["a{1000}{1000}", "(a{1000}){1000}", "a{0,100000000}", &nested, &long] {
            check(text, false).unwrap_err();
        }
        check("a{1000}", false).unwrap();
    }

    #[test]
    fn syntax_errors_say_where() {
        assert_eq!(check("ab(c", false).unwrap_err().span, Some(2..3));
        assert_eq!(check("a\\", false).unwrap_err().span, Some(1..2));
        // Unicode classes are not built in; letters beyond ASCII are.
        check(r"(?u)\w", false).unwrap_err();
        check("é", false).unwrap();
    }
}
