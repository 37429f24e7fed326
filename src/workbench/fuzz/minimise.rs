//! Makes failures small: a case and what is wrong with it in, the smallest case
//! found with the same thing wrong out.

use serde_json::Value;

use super::case::{Case, Item, Turn};
use super::check::{Bench, Wrong};
use crate::workbench::carrier::{Carried, Content, Http};

/// Cases that are tried.
const MAX_TRIES: usize = 400;
/// Ways to make one text smaller that are tried.
const MAX_SMALLER: usize = 64;
/// Values that are made smaller byte by byte.
const MAX_VALUE: usize = 64;

/// The smallest case found, and what is wrong with it.
pub(super) fn minimise(bench: &Bench<'_>, mut case: Case, mut wrong: Wrong) -> (Case, Wrong) {
    let mut tries = 0;
    let mut at = 0;
    // After a full round without success nothing more can be taken away.
    let mut failed = 0;
    loop {
        let smaller = smaller(&case);
        if failed >= smaller.len() || tries == MAX_TRIES {
            return (case, wrong);
        }
        let Some(candidate) = smaller.get(at % smaller.len()) else { return (case, wrong) };
        tries += 1;
        let found = bench.examine(candidate).into_iter().find(|found| found.key() == wrong.key());
        match found {
            Some(found) => {
                wrong = found;
                case = candidate.clone();
                failed = 0;
            }
            None => {
                at += 1;
                failed += 1;
            }
        }
    }
}

/// Cases with a part taken away.
fn smaller(case: &Case) -> Vec<Case> {
    let items = without_each(&case.items).map(|items| Case { items, ..case.clone() });
    let changes = without_each(&case.changes).map(|changes| Case { changes, ..case.clone() });
    let parts = case.items.iter().enumerate().flat_map(|(at, item)| {
        smaller_items(item).into_iter().map(move |item| {
            let mut items = case.items.clone();
            items.splice(at..=at, [item]);
            Case { items, ..case.clone() }
        })
    });
    items.chain(changes).chain(parts).collect()
}

fn without_each<T: Clone>(all: &[T]) -> impl Iterator<Item = Vec<T>> + '_ {
    (0..all.len()).map(|at| {
        let mut rest = all.to_vec();
        rest.remove(at);
        rest
    })
}

fn smaller_items(item: &Item) -> Vec<Item> {
    match item {
        Item::Carried(Carried::Http(http)) => smaller_exchanges(http)
            .map(|http| Item::Carried(Carried::Http(Box::new(http))))
            .collect(),
        Item::Carried(_) => Vec::new(),
        Item::Stream { port, turns } => {
            let port = *port;
            let fewer = without_each(turns);
            let shorter = turns.iter().enumerate().flat_map(|(at, turn)| {
                smaller_texts(&turn.text).into_iter().map(move |text| {
                    let mut turns = turns.clone();
                    turns.splice(at..=at, [Turn { text, ..turn.clone() }]);
                    turns
                })
            });
            fewer.chain(shorter).map(|turns| Item::Stream { port, turns }).collect()
        }
        Item::Value { field, direction, value } => smaller_values(value)
            .into_iter()
            .map(|value| Item::Value { field: field.clone(), direction: *direction, value })
            .collect(),
    }
}

fn smaller_exchanges(http: &Http) -> impl Iterator<Item = Http> + '_ {
    let headers = without_each(&http.headers).map(|headers| Http { headers, ..http.clone() });
    let own = [0, 1].into_iter().flat_map(move |side| {
        let own = http.own_headers.get(side).map(Vec::as_slice).unwrap_or_default();
        without_each(own).map(move |headers| {
            let mut http = http.clone();
            if let Some(own) = http.own_headers.get_mut(side) {
                *own = headers;
            }
            http
        })
    });
    let requests =
        smaller_contents(&http.request).into_iter().map(|request| Http { request, ..http.clone() });
    let responses = smaller_contents(&http.response)
        .into_iter()
        .map(|response| Http { response, ..http.clone() });
    headers.chain(own).chain(requests).chain(responses)
}

fn smaller_contents(content: &Content) -> Vec<Content> {
    let Ok(text) = std::str::from_utf8(&content.body) else { return Vec::new() };
    if text.is_empty() {
        return Vec::new();
    }
    let texts = std::iter::once(String::new()).chain(smaller_texts(text));
    texts.map(|text| Content { body: text.into_bytes(), ..content.clone() }).collect()
}

/// JSON with a part taken away; other texts with some of their lines.
fn smaller_texts(text: &str) -> Vec<String> {
    if let Ok(value) = serde_json::from_str(text) {
        let smaller = smaller_json(&value).into_iter().take(MAX_SMALLER);
        return smaller.map(|value| value.to_string()).collect();
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    if lines.len() > 1 {
        return without_each(&lines).take(MAX_SMALLER).map(|lines| lines.concat()).collect();
    }
    Vec::new()
}

fn smaller_json(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) if !text.is_empty() => vec!["".into()],
        Value::Array(items) => {
            let fewer = without_each(items).map(Value::from);
            let smaller = items.iter().enumerate().flat_map(|(at, item)| {
                smaller_json(item).into_iter().map(move |item| {
                    let mut items = items.clone();
                    items.splice(at..=at, [item]);
                    items.into()
                })
            });
            fewer.chain(smaller).collect()
        }
        Value::Object(members) => {
            let fewer = members.keys().map(|key| {
                let mut fewer = members.clone();
                fewer.remove(key);
                Value::Object(fewer)
            });
            let smaller = members.iter().flat_map(|(key, value)| {
                smaller_json(value).into_iter().map(|value| {
                    let mut members = members.clone();
                    members.insert(key.clone(), value);
                    Value::Object(members)
                })
            });
            fewer.chain(smaller).collect()
        }
        _ => Vec::new(),
    }
}

fn smaller_values(value: &[u8]) -> Vec<Vec<u8>> {
    let (start, end) = value.split_at(value.len() / 2);
    let halves = [start.to_vec(), end.to_vec()].into_iter();
    let halves = halves.filter(|half| half.len() < value.len());
    let bytes = without_each(value).take(if value.len() > MAX_VALUE { 0 } else { MAX_VALUE });
    halves.chain(bytes).collect()
}
