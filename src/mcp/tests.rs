//! Bodies through the scanner: what is found in them, however they are made,
//! encoded and cut.

use super::*;

const LOOKALIKES: &str = include_str!("../../tests/data/mcp/lookalikes.tsv");
const MESSAGES: &str = include_str!("../../tests/data/mcp/messages.tsv");

/// What of a message a test compares.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    shape: Shape,
    text: String,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Complete,
    Incomplete,
    Gap,
}

/// Everything that can be read off a message, as text.
fn describe(message: &Message) -> String {
    let params: Vec<_> = [ParamKey::Name, ParamKey::Uri, ParamKey::TaskId, ParamKey::Cursor]
        .into_iter()
        .map(|key| (message.param_kind(key), message.param(key)))
        .collect();
    format!(
        "{:?} {:?} {:?} {:?} {params:?} {:?}/{} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        message.kind(),
        message.id(),
        message.method(),
        message.protocol_version(),
        message.arguments(),
        message.arguments_len(),
        message.client_info(),
        message.server_info(),
        message.tools().collect::<Vec<_>>(),
        message.listed_names().collect::<Vec<_>>(),
        message.supported_versions().collect::<Vec<_>>(),
        message.input_requests().collect::<Vec<_>>(),
        message.content_types().iter().collect::<Vec<_>>(),
        message.error_code(),
        message.error_message(),
        message.flags(),
    )
}

/// Scans `body` in pieces whose sizes `cut` gives, with a used scanner.
fn scan_with(
    scanner: &mut Scanner,
    body: &[u8],
    mut cut: impl FnMut() -> usize,
    end: End,
) -> (Vec<Seen>, Result<(), Malformed>) {
    let mut seen = Vec::new();
    let mut sink = |message: &Message| {
        seen.push(Seen { shape: message.shape(), text: describe(message) });
    };
    scanner.reset(Charset::Sniffed);
    let mut rest = body;
    let mut outcome = Ok(());
    while !rest.is_empty() && outcome.is_ok() {
        let (piece, after) = rest.split_at(cut().clamp(1, rest.len()));
        outcome = scanner.feed(piece, &mut sink);
        rest = after;
    }
    match end {
        End::Complete => outcome = outcome.and(scanner.finish(true, &mut sink)),
        End::Incomplete => outcome = outcome.and(scanner.finish(false, &mut sink)),
        End::Gap => {
            scanner.gap(&mut sink);
            outcome = outcome.and(scanner.finish(true, &mut sink));
        }
    }
    (seen, outcome)
}

/// Scans a body whole, and in other pieces to see that they make no difference.
fn scan(body: &[u8], end: End) -> (Vec<Seen>, Result<(), Malformed>) {
    let mut scanner = Scanner::new();
    let whole = scan_with(&mut scanner, body, || usize::MAX, end);
    let mut random = 0x9E37_79B9_u32;
    for largest in [1, 2, 3, 17, 64] {
        let cut = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1 + (random >> 16) as usize % largest
        };
        let pieces = scan_with(&mut scanner, body, cut, end);
        assert_eq!(pieces, whole, "pieces of up to {largest}: {}", String::from_utf8_lossy(body));
    }
    whole
}

fn shapes(body: &[u8]) -> Vec<Shape> {
    scan(body, End::Complete).0.into_iter().map(|seen| seen.shape).collect()
}

/// The only message in `body`, for a closer look.
fn inspect<R>(body: &[u8], look: impl FnOnce(&Message) -> R) -> R {
    let mut scanner = Scanner::new();
    let mut look = Some(look);
    let mut found = None;
    let mut sink = |message: &Message| found = Some((look.take().unwrap())(message));
    scanner.feed(body, &mut sink).unwrap();
    scanner.finish(true, &mut sink).unwrap();
    found.unwrap()
}

/// The rows of a table: name, expectation, body.
fn rows(table: &str) -> impl Iterator<Item = (&str, &str, Vec<u8>)> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.splitn(3, '\t');
        let mut column = || columns.next().unwrap_or_else(|| panic!("{line}"));
        let (name, expected) = (column(), column());
        let body = [("<LF>", "\n"), ("<RS>", "\u{1e}"), ("<NUL>", "\0"), ("<TAB>", "\t")]
            .into_iter()
            .fold(column().to_owned(), |body, (mark, text)| body.replace(mark, text));
        (name, expected, body.into_bytes())
    })
}

#[test]
fn lookalikes_are_told_apart() {
    for (name, expected, body) in rows(LOOKALIKES) {
        let (seen, outcome) = scan(&body, End::Complete);
        let shapes: Vec<_> = seen.iter().map(|seen| format!("{:?}", seen.shape)).collect();
        let found = match (shapes.is_empty(), outcome.is_err()) {
            (true, true) => "!".to_owned(),
            (true, false) => "-".to_owned(),
            _ => shapes.join(" "),
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn messages_are_recognised() {
    for (name, expected, body) in rows(MESSAGES) {
        assert_eq!(format!("{:?}", shapes(&body)), format!("[{expected}]"), "{name}");
    }
}

#[test]
fn a_truncated_message_is_never_more_than_the_whole_one() {
    for (name, _, body) in rows(MESSAGES).chain(rows(LOOKALIKES)) {
        let (whole, outcome) = scan(&body, End::Complete);
        let proven = |shape| matches!(shape, Shape::Mcp(_) | Shape::McpResult(_));
        if outcome.is_err() || whole.len() != 1 {
            continue;
        }
        for len in 0..body.len() {
            for end in [End::Incomplete, End::Gap] {
                let (seen, _) = scan(&body[..len], end);
                assert!(seen.len() <= 1);
                for seen in seen {
                    let foreign = matches!(seen.shape, Shape::Foreign(_));
                    let was = whole[0].shape;
                    assert!(!foreign || !proven(was), "{name} at {len}: {seen:?} of {was:?}");
                    assert!(!proven(seen.shape) || proven(was), "{name} at {len}: {seen:?}");
                }
            }
        }
    }
}

#[test]
fn what_was_seen_of_a_truncated_message_suffices_or_nominates() {
    use Shape::{Foreign as Other, JsonRpc, Mcp, McpResult, Nominated};
    for (body, expected) in [
        (
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"add","arguments":{"a":"#,
            Some(Mcp(Proof::Request)),
        ),
        (r#"{"jsonrpc":"2.0","method":"tools/call","params":{"arguments":{"a":"#, Some(Nominated)),
        (r#"{"method":"tools/call","params":{"name":"add","arguments":{"a":"#, Some(Nominated)),
        (r#"{"method":"tools/call","params":{"name":"add"#, Some(Nominated)),
        (r#"{"method":"tools/cal"#, None),
        (r#"{"jsonrpc":"2.0","method":"tools/list""#, Some(Nominated)),
        (r#"{"jsonrpc":"2.0","method":"tools/list","params":{"#, Some(Mcp(Proof::Request))),
        (r#"{"jsonrpc":"2.0","method":"tools/list","params":[1"#, Some(JsonRpc)),
        (
            r#"{"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"#,
            Some(Nominated),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"initialize","params":{"capabilities":{"#,
            Some(Shape::Weak(Weak::Initialize)),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"initialize","params":{"processId":1,"#,
            Some(Other(Foreign::Lsp)),
        ),
        (r#"{"result":{"tools":[{"name":"add","inputSchema":{"type":"object"#, Some(Nominated)),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"add","inputSchema":{"#,
            Some(McpResult(Answer::Tools)),
        ),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"add","#, Some(JsonRpc)),
        (r#"{"features":[{"name":"add","#, None),
        (r#"{"method":"GET","params":{"name":"x"#, None),
        (r#"{"id":1,"method":"tools/list","params":{}}"#, None),
        (
            r#"[{"jsonrpc":"2.0","method":"ping","id":1},{"method":"tools/list","params":{"#,
            Some(Nominated),
        ),
        (r#"[{"jsonrpc":"2.0","method":"tools/list","id":1},"#, Some(Mcp(Proof::Request))),
        (r#"{"jsonrpc":"2.0","method":"tools/list","id":1}"#, Some(Mcp(Proof::Request))),
    ] {
        for end in [End::Incomplete, End::Gap] {
            let last = scan(body.as_bytes(), end).0.pop().map(|seen| seen.shape);
            assert_eq!(last, expected, "{body}");
        }
    }
}

#[test]
fn a_message_its_sender_left_unfinished_is_none() {
    let body = br#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"add""#;
    let (seen, outcome) = scan(body, End::Complete);
    assert!(seen.is_empty());
    assert_eq!(outcome.map_err(|malformed| malformed.reason), Err(Reason::UnexpectedEnd));
}

#[test]
fn members_may_come_in_any_order() {
    let members = [
        r#""jsonrpc":"2.0""#,
        r#""id":7"#,
        r#""method":"tools/call""#,
        r#""params":{"arguments":{"method":"ping","jsonrpc":"1.0"},"name":"add"}"#,
    ];
    let mut orders = 0;
    for code in 0..256 {
        let order: Vec<_> = (0..4).map(|place| code >> (2 * place) & 3).collect();
        if (0..4).all(|member| order.contains(&member)) {
            let body: Vec<_> = order.iter().map(|&member| members[member]).collect();
            let body = format!("{{{}}}", body.join(" , "));
            assert_eq!(shapes(body.as_bytes()), [Shape::Mcp(Proof::Request)], "{body}");
            orders += 1;
        }
    }
    assert_eq!(orders, 24);
}

#[test]
fn the_envelope_may_follow_a_megabyte_of_arguments() {
    let padding = "\\u0041 quote \\\" brace } ".repeat(50_000);
    let body = format!(
        "{{\"params\":{{\"arguments\":{{\"text\":\"{padding}\"}},\"name\":\"add\"}},\
         \"method\":\"tools/call\",\"jsonrpc\":\"2.0\",\"id\":1}}"
    );
    inspect(body.as_bytes(), |message| {
        assert_eq!(message.shape(), Shape::Mcp(Proof::Request));
        assert_eq!(message.param(ParamKey::Name), Some("add"));
        assert_eq!(message.arguments_len(), padding.len() as u64 + "{\"text\":\"\"}".len() as u64);
        assert_eq!(message.arguments().map(str::len), Some(512));
        assert!(message.arguments().unwrap().starts_with("{\"text\":\"\\u0041 quote"));
        assert!(message.flags().cut);
    });
}

#[test]
fn escapes_and_white_space_change_nothing() {
    let escaped: String =
        "tools/call".chars().map(|c| format!("\\u{:04X}", u32::from(c))).collect();
    for body in [
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{escaped}","params":{{"name":"add"}}}}"#),
        r#"{"\u006asonrpc":"\u0032.0","id":1,"m\u0065thod":"tools\/call","params":{"n\u0061me":"add"}}"#
            .to_owned(),
        "\r\n\t { \"jsonrpc\" :\t\"2.0\" ,\r\n \"id\" : 1 , \"method\" : \"tools/call\" ,\n\
         \"params\" : { \"name\" : \"add\" } } \r\n\n"
            .to_owned(),
    ] {
        assert_eq!(shapes(body.as_bytes()), [Shape::Mcp(Proof::Request)], "{body}");
        let name = inspect(body.as_bytes(), |m| m.param(ParamKey::Name).map(str::to_owned));
        assert_eq!(name.as_deref(), Some("add"));
    }
}

#[test]
fn encodings_that_servers_accept_are_read() {
    let body = "{\"jsonrpc\":\"2.0\",\"id\":\"gr\u{fc}n\",\"method\":\"tools/list\"}";
    let utf16 = |big: bool| -> Vec<u8> {
        let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        body.encode_utf16().flat_map(bytes).collect()
    };
    let utf32: Vec<u8> = body.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    let marked = |mark: &[u8], body: &[u8]| [mark, body].concat();
    for (name, encoded) in [
        ("UTF-8 with a mark", marked(b"\xEF\xBB\xBF", body.as_bytes())),
        ("UTF-16LE", utf16(false)),
        ("UTF-16BE", utf16(true)),
        ("UTF-16LE with a mark", marked(b"\xFF\xFE", &utf16(false))),
        ("UTF-16BE with a mark", marked(b"\xFE\xFF", &utf16(true))),
        ("UTF-32LE", utf32.clone()),
        ("UTF-32LE with a mark", marked(b"\xFF\xFE\0\0", &utf32)),
    ] {
        assert_eq!(shapes(&encoded), [Shape::Mcp(Proof::Request)], "{name}");
        inspect(&encoded, |message| {
            assert_eq!(message.id(), Some(Id::String("gr\u{fc}n")), "{name}");
            assert_eq!(message.flags().transcoded, !name.starts_with("UTF-8"));
        });
        let cut = encoded.len() - 3;
        let truncated = scan(&encoded[..cut], End::Incomplete).0;
        assert_eq!(truncated.len(), 1, "{name}");
    }
}

#[test]
fn utf7_is_read_where_it_is_declared() {
    let body = b"+AHs-\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools+AC8-list\"+AH0-";
    for (content_type, found) in [("application/json; charset=utf-7", 1), ("application/json", 0)] {
        let mut scanner = Scanner::new();
        scanner.reset(Charset::from_content_type(content_type.as_bytes()));
        let mut count = 0;
        let mut sink = |_: &Message| count += 1;
        let _ = scanner.feed(body, &mut sink).and_then(|()| scanner.finish(true, &mut sink));
        assert_eq!(count, found, "{content_type}");
    }
}

#[test]
fn the_last_of_duplicate_keys_counts() {
    let body = br#"{"jsonrpc":"1.0","jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call",
        "params":{"name":"first","arguments":{"a":1},"_meta":{"io.modelcontextprotocol/x":1}},
        "params":{"name":1,"name":"last"}}"#;
    inspect(body, |message| {
        assert!(message.flags().duplicate_keys);
        assert_eq!(message.method(), Some("tools/call"));
        assert_eq!(message.param(ParamKey::Name), Some("last"));
        assert_eq!(message.arguments(), None);
        assert!(!message.has_mcp_meta());
    });
    let other =
        br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"},"method":"ping"}"#;
    assert_eq!(shapes(other), [Shape::Weak(Weak::Ping)]);
    let listed = br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","inputSchema":{}}],"tools":[]}}"#;
    assert_eq!(shapes(listed), [Shape::Weak(Weak::Result)]);
}

#[test]
fn a_flood_of_duplicate_keys_hides_nothing() {
    let flood: String = (0..5000)
        .map(|i| {
            format!("\"method\":\"{i:0100}\",\"id\":\"{i:0100}\",\"params\":{{\"name\":\"{i}\"}},")
        })
        .collect();
    let body = format!(
        "{{{flood}\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"id\":1,\
         \"params\":{{\"name\":\"add\",\"uri\":\"x\"}}}}"
    );
    inspect(body.as_bytes(), |message| {
        assert_eq!(message.shape(), Shape::Mcp(Proof::Request));
        assert_eq!(message.id(), Some(Id::Number("1")));
        assert_eq!(message.param(ParamKey::Name), Some("add"));
        assert!(message.flags().duplicate_keys && !message.flags().cut);
    });
}

#[test]
fn keys_that_go_folds_are_recognised_and_marked() {
    let body = "{\"JSONRPC\":\"2.0\",\"ID\":1,\"Method\":\"tools/call\",\"param\u{17f}\":{\"NAME\":\"add\"}}";
    inspect(body.as_bytes(), |message| {
        assert!(message.flags().folded_keys && !message.flags().duplicate_keys);
        assert_eq!(message.shape(), Shape::Mcp(Proof::Request));
    });
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","METHOD":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"METHOD":"ping","method":"tools/list"}"#,
    ] {
        inspect(body.as_bytes(), |message| {
            assert_eq!(message.method(), Some("tools/list"), "the exact key wins");
            assert!(message.flags().folded_keys && message.flags().duplicate_keys);
        });
    }
}

#[test]
fn batches_sequences_and_empty_batches() {
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for (body, count) in [
        (format!("[{list},{list} , {list}]"), 3),
        (format!("[{list},1,null,[{list}],\"x\",{{}},{list}]"), 2),
        ("[]".to_owned(), 0),
        (format!("{list}\n{list}\r\n\n{list}\n"), 3),
        (format!("{list} {list}"), 2),
        (format!("\u{1e}{list}\n\u{1e}{list}\n"), 2),
        (format!("{list}\n[{list}]"), 2),
    ] {
        assert_eq!(shapes(body.as_bytes()), vec![Shape::Mcp(Proof::Request); count], "{body}");
    }
    inspect(format!("[{list}]").as_bytes(), |message| assert!(message.flags().batched));
    // What follows without a separator spoils what came before.
    assert!(shapes(format!("{list}{list}").as_bytes()).is_empty());
}

#[test]
fn facts_of_a_tools_list() {
    let body = br#"{"jsonrpc":"2.0","id":"x-1","result":{"tools":[
        {"name":"add","description":"Adds","inputSchema":{"type":"object","properties":{"name":{"type":"string"}}}},
        {"inputSchema":{},"name":"no\u00ebl","tools":[{"name":"inner"}]},
        {"name":"broken"}],"nextCursor":"2"}}"#;
    inspect(body, |message| {
        let names: Vec<_> = message.tools().map(|tool| tool.name.to_owned()).collect();
        assert_eq!(names, ["add", "no\u{eb}l", "broken"]);
        assert_eq!(message.list(List::Tools), ListFacts { elements: 3, well_formed: 2 });
        assert_eq!(message.kind(), Kind::Response);
        assert_eq!(message.id(), Some(Id::String("x-1")));
        assert_eq!(message.result_kind(ResultKey::NextCursor), ValueKind::String);
    });
}

#[test]
fn the_digest_of_a_tool_depends_on_its_meaning_alone() {
    let digest = |tool: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tool}]}}}}"#);
        inspect(body.as_bytes(), |message| message.tools().next().unwrap().digest.unwrap())
    };
    let plain = digest(r#"{"name":"a","description":"x/y","inputSchema":{"a":[1,true,null]}}"#);
    let spaced =
        r#"{ "name" : "a", "description":"\u0078\/y" ,"inputSchema":{"a":[ 1,true , null]}}"#;
    assert_eq!(digest(spaced), plain);
    for other in [
        r#"{"name":"a","description":"x/z","inputSchema":{"a":[1,true,null]}}"#,
        r#"{"name":"a","description":"x/y","inputSchema":{"a":[1,true,false]}}"#,
        r#"{"name":"a","description":"x/y","inputSchema":{"a":["1",true,null]}}"#,
        r#"{"name":"a","description":"x/y","inputSchema":{"a":[1,true],"null":1}}"#,
        r#"{"name":"a","description":"x/y","inputSchema":{"a":[[1,true,null]]}}"#,
        r#"{"name":"a","description":"x/y","inputSchema":{"a":[1,true,null]},"annotations":{}}"#,
    ] {
        assert_ne!(digest(other), plain, "{other}");
    }
}

#[test]
fn facts_of_both_handshakes() {
    let request = rows(MESSAGES).find(|(name, ..)| *name == "server/discover").unwrap().2;
    inspect(&request, |message| {
        assert_eq!(message.protocol_version(), Some("2026-07-28"));
        let client = message.client_info().unwrap();
        assert_eq!((client.name, client.version), (Some("mcp"), Some("0.1.0")));
        assert_eq!(message.meta_kind(MetaKey::ClientCapabilities), ValueKind::Object);
    });
    let answer = rows(MESSAGES).find(|(name, ..)| *name == "answer to initialize").unwrap().2;
    inspect(&answer, |message| {
        assert_eq!(message.protocol_version(), Some("2025-06-18"));
        let server = message.server_info().unwrap();
        assert_eq!((server.name, server.title), (Some("example-server"), Some("Example")));
        assert_eq!(message.result_kind(ResultKey::Instructions), ValueKind::String);
    });
    let error = rows(MESSAGES).find(|(name, ..)| *name == "error of 2026").unwrap().2;
    inspect(&error, |message| {
        assert_eq!(message.error_code(), Some(error_code::UNSUPPORTED_VERSION));
        assert_eq!(message.error_message(), Some("Unsupported protocol version"));
        assert_eq!(message.supported_versions().collect::<Vec<_>>(), ["2026-07-28"]);
        assert_eq!(message.requested_version(), Some("1900-01-01"));
    });
}

#[test]
fn lists_and_texts_stop_at_their_caps() {
    let tool = |i: usize| format!("{{\"name\":\"{i:0150}\",\"inputSchema\":{{}}}}");
    let tools: Vec<_> = (0..2000).map(tool).collect();
    let body = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":\"{}\",\"result\":{{\"tools\":[{}]}}}}",
        "x".repeat(200_000),
        tools.join(",")
    );
    inspect(body.as_bytes(), |message| {
        assert!(message.flags().cut);
        assert_eq!(message.list(List::Tools).well_formed, 2000);
        assert_eq!(message.tools().len(), 512);
        assert!(message.tools().all(|tool| tool.name.len() == 128));
        assert_eq!(message.id(), Some(Id::String("x".repeat(128).as_str())));
    });
}

#[test]
fn a_nesting_bomb_hides_nothing() {
    for depth in [10, 600, 100_000] {
        let body = format!(
            "{{\"params\":{{\"arguments\":{}1{},\"name\":\"add\"}},\"jsonrpc\":\"2.0\",\
             \"method\":\"tools/call\",\"id\":1}}",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        let mut scanner = Scanner::new();
        let (seen, outcome) = scan_with(&mut scanner, body.as_bytes(), || 1000, End::Complete);
        assert!(outcome.is_ok() && seen.len() == 1);
        assert_eq!(seen[0].shape, Shape::Mcp(Proof::Request), "{depth}");
        assert_eq!(scanner.counters().deep, u64::from(depth > 512));
    }
}

#[test]
fn what_came_before_does_not_stick() {
    let mut scanner = Scanner::new();
    for (_, expected, body) in rows(MESSAGES) {
        let _ = scan_with(&mut scanner, &body[..body.len() - 3], || 9, End::Gap);
        let (seen, _) = scan_with(&mut scanner, &body, || usize::MAX, End::Complete);
        assert_eq!(format!("{:?}", seen[0].shape), expected);
        assert_eq!(seen, scan(&body, End::Complete).0);
    }
    assert_eq!(scanner.counters().malformed, 0);
    assert!(scanner.counters().messages > scanner.counters().truncated);
}

#[test]
fn spoilt_messages_never_panic_and_never_depend_on_the_cut() {
    let bodies: Vec<_> = rows(MESSAGES).chain(rows(LOOKALIKES)).map(|(.., body)| body).collect();
    let mut random = 0x1234_5678_9ABC_DEF1_u64;
    let mut below = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 20) as usize % bound
    };
    let mut scanner = Scanner::new();
    for _ in 0..20_000 {
        let mut body = bodies[below(bodies.len())].clone();
        for _ in 0..1 + below(3) {
            let at = below(body.len().max(1)).min(body.len());
            match below(4) {
                0 if at < body.len() => body[at] = below(256) as u8,
                1 => body.insert(at, b"{}[]\",:\\\0\xff"[below(10)]),
                2 if at < body.len() => drop(body.remove(at)),
                _ => {
                    let other = &bodies[below(bodies.len())];
                    let from = below(other.len());
                    let to = from + below(other.len() - from + 1);
                    body.splice(at..at, other[from..to].iter().copied());
                }
            }
        }
        let end = [End::Complete, End::Incomplete, End::Gap][below(3)];
        let whole = scan_with(&mut scanner, &body, || usize::MAX, end);
        let pieces = scan_with(&mut scanner, &body, || 1 + below(20), end);
        assert_eq!(pieces, whole, "{}", String::from_utf8_lossy(&body));
        agrees_with_serde_json(&body, end, &whole.0);
    }
}

/// Where serde_json reads one object, the envelope must be the same.
fn agrees_with_serde_json(body: &[u8], end: End, seen: &[Seen]) {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(body) else { return };
    if end != End::Complete {
        return;
    }
    let folded = |key: &String| key.to_lowercase() == "jsonrpc" && key != "jsonrpc";
    let expected = usize::from(object.contains_key("jsonrpc") || object.keys().any(folded));
    assert_eq!(seen.len(), expected, "{}", String::from_utf8_lossy(body));
    let Some(seen) = seen.first() else { return };
    if let Some(serde_json::Value::String(method)) = object.get("method")
        && method.len() <= 128
    {
        assert!(seen.text.contains(&format!(" Some({method:?}) ")), "{method} in {}", seen.text);
    }
}

#[test]
fn a_scanner_is_small() {
    assert!(size_of::<Scanner>() <= 2560, "{}", size_of::<Scanner>());
}
