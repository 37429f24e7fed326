use std::sync::LazyLock;

use super::*;
use crate::signature::SignatureSet;

/// The shipped sets, compiled once for all tests.
fn builtin() -> &'static (SignatureSet, Matcher) {
    static BUILTIN: LazyLock<(SignatureSet, Matcher)> = LazyLock::new(|| {
        let set = SignatureSet::builtin();
        let (matcher, _) = set.compile().unwrap();
        (set, matcher)
    });
    &BUILTIN
}

fn set(text: &str) -> (SignatureSet, Matcher) {
    let set = SignatureSet::parse("t.toml", &format!("version = 1\n{text}")).unwrap();
    let (matcher, _) = set.compile().unwrap();
    (set, matcher)
}

fn ids(set: &SignatureSet, matcher: &Matcher, hits: &HitSet) -> Vec<String> {
    matcher.signals(hits).map(|index| set.signature(index).id.to_string()).collect()
}

fn body(matcher: &Matcher, direction: Direction, text: &[u8], step: usize) -> HitSet {
    let mut hits = HitSet::new();
    let mut cursor = matcher.body().start(direction, &mut hits);
    for slice in text.chunks(step) {
        matcher.body().feed(&mut cursor, slice, &mut hits);
    }
    matcher.body().finish(&cursor, &mut hits);
    hits
}

/// Every way to write a JSON string that servers accept, seeded.
fn disguise(text: &str, seed: u64) -> String {
    let mut state = seed;
    let mut written = String::new();
    for c in text.chars() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (state >> 60, c) {
            (0..=5, c) => written.push(c),
            (6..=8, '/') => written.push_str("\\/"),
            (6..=10, c) => written.push_str(&format!("\\u{:04x}", c as u32)),
            (_, c) => written.push_str(&format!("\\u{:04X}", c as u32)),
        }
    }
    written
}

#[test]
fn methods_are_found_whatever_their_escapes_and_white_space() {
    let (set, matcher) = builtin();
    let methods = set.signatures().iter().filter_map(|signature| {
        let method = signature.title.strip_prefix('`')?.strip_suffix('`')?;
        Some((&*signature.id, method))
    });
    let mut seen = 0;
    for (id, method) in methods {
        seen += 1;
        let mut bodies = Vec::new();
        for seed in 0..20 {
            let space = ["", " ", "\t", "\r\n", "                "][seed as usize % 5];
            let key = disguise("method", seed * 7 + 1);
            let value = disguise(method, seed * 13 + 5);
            bodies.push(format!(
                "{{\"params\":{{}},{space}\"{key}\"{space}:{space}\"{value}\"{space},\"jsonrpc\":\"2.0\"}}"
            ));
        }
        // As Go servers read keys, and far into the body.
        bodies.push(format!("{{\"METHOD\":\"{method}\"}}"));
        bodies.push(format!("[{{\"x\":\"{}\",\"method\":\"{method}\"}}]", "y".repeat(100_000)));
        bodies.push(format!("\u{feff}{{\"method\":\"other\",\"method\":\"{method}\"}}"));
        for text in bodies {
            let whole = body(matcher, Direction::ToServer, text.as_bytes(), usize::MAX);
            assert!(ids(set, matcher, &whole).iter().any(|hit| hit == id), "{id}: {text}");
            if text.len() < 1_000 {
                let cut = body(matcher, Direction::ToServer, text.as_bytes(), 1);
                assert_eq!(whole, cut, "{text}");
            }
        }
        for text in [
            format!("{{\"method\":\"{method}/x\"}}"),
            format!("{{\"methods\":\"{method}\"}}"),
            format!("{{\"name\":\"{method}\"}}"),
            format!("{{\"log\":\"{{\\\"method\\\":\\\"{method}\\\"}}\"}}"),
            format!("{{\"method\":[\"{method}\"]}}"),
        ] {
            let hits = body(matcher, Direction::ToServer, text.as_bytes(), usize::MAX);
            assert!(!ids(set, matcher, &hits).iter().any(|hit| hit == id), "{id}: {text}");
        }
    }
    assert_eq!(seen, 36);
}

/// Samples of what the ten expressions of the gateway tutorial match.
#[test]
fn what_the_gateway_tutorial_finds_is_found() {
    let (set, matcher) = builtin();
    for (text, id) in [
        (r#"{"method":"initialize"}"#, "mcp.body.initialize"),
        (r#"{"method" : "tools/call"}"#, "mcp.body.tools-call"),
        (r#"{"method": "tools/list"}"#, "mcp.body.tools-list"),
        (r#"{"method":     "resources/read"}"#, "mcp.body.resources-read"),
        (r#"{"method":"resources/list"}"#, "mcp.body.resources-list"),
        (r#"{"method":"prompts/list"}"#, "mcp.body.prompts-list"),
        (r#"{"method":"prompts/get"}"#, "mcp.body.prompts-get"),
        (r#"{"method":"sampling/createMessage"}"#, "mcp.body.sampling-createmessage"),
        (r#"{"method":"notifications/initialized"}"#, "mcp.body.notifications-initialized"),
        (r#"{"method":"roots/list"}"#, "mcp.body.roots-list"),
        (r#"{"protocolVersion":"2024-11-05"}"#, "mcp.body.protocol-version"),
        (r#"{"protocolVersion" : "2029-01-01"}"#, "mcp.body.protocol-version"),
    ] {
        let hits = body(matcher, Direction::ToServer, text.as_bytes(), usize::MAX);
        assert_eq!(ids(set, matcher, &hits), [id], "{text}");
    }
}

#[test]
fn a_member_is_found_as_a_json_parser_would_find_it() {
    let (set, matcher) = set(r#"
        [[signature]]
        id = "a"
        title = "t"
        field = "http.body"
        json_member = { key = 'k"\', value = "é😀/x" }
        strength = "weak"
        [[signature]]
        id = "b"
        title = "t"
        field = "http.body"
        json_string = 'say "hi"'
        strength = "weak"
    "#);
    for (text, expected) in [
        (r#"{"k\"\\":"é😀/x"}"#, &["a"][..]),
        (r#"{"k\u0022\u005c" : "\u00E9\ud83d\uDE00\/\u0078"}"#, &["a"]),
        (r#"{"k\"\\":"é😀/y"}"#, &[]),
        (r#"{"k\"\\":"\ud83dé/x"}"#, &[]),
        (r#"["say \"hi\"", 1]"#, &["b"]),
        (r#"["say \u0022hi\u0022"]"#, &["b"]),
        (r#"["say "hi""]"#, &[]),
    ] {
        for step in [1, 2, usize::MAX] {
            let hits = body(&matcher, Direction::ToServer, text.as_bytes(), step);
            assert_eq!(ids(&set, &matcher, &hits), expected, "{text}");
        }
    }
}

#[test]
fn direction_is_asked_for() {
    let (set, matcher) = builtin();
    let text = br#"{"result":{"tools":[{"inputSchema":{}}]}}"#;
    let hits = body(matcher, Direction::ToClient, text, usize::MAX);
    assert_eq!(ids(set, matcher, &hits), ["mcp.body.tool-list"]);
    let hits = body(matcher, Direction::ToServer, text, usize::MAX);
    assert!(hits.is_empty());
}

struct Exchange {
    host: &'static str,
    port: u16,
    method: &'static str,
    path: &'static str,
    request: &'static [(&'static str, &'static str)],
    response: &'static [(&'static str, &'static str)],
}

/// What shipped signatures make of an exchange: `likely` from a strong signal
/// that needs no confirmation or two kinds of weak ones, else `possible`.
fn verdict(set: &SignatureSet, matcher: &Matcher, exchange: &Exchange) -> &'static str {
    use crate::signature::{EvidenceKinds, Strength};
    let headers = |list: &'static [(&str, &str)]| -> Vec<Header<'static>> {
        let header = |&(name, value): &(&'static str, &'static str)| Header {
            name: name.as_bytes(),
            value: value.as_bytes(),
        };
        list.iter().map(header).collect()
    };
    let mut hits = HitSet::new();
    matcher.server_port(exchange.port, &mut hits);
    let request = RequestFields {
        method: exchange.method.as_bytes(),
        host: Some(exchange.host.as_bytes()),
        path: exchange.path.as_bytes(),
        query: None,
        headers: &headers(exchange.request),
    };
    matcher.request(&request, &mut hits);
    matcher.response(&headers(exchange.response), &mut hits);
    let mut kinds = EvidenceKinds::default();
    let mut best = Strength::Context;
    for index in matcher.signals(&hits) {
        let signature = set.signature(index);
        best = best.max(signature.strength);
        if signature.strength == Strength::Weak {
            kinds.insert(signature.kind);
        }
    }
    match best {
        Strength::Strong | Strength::Proof => "likely",
        Strength::Weak if kinds.corroborated() => "likely",
        Strength::Weak | Strength::Hint => "possible",
        Strength::Context => "nothing",
    }
}

#[test]
fn look_alikes_stay_at_possible_and_mcp_does_not() {
    const STREAM: &[(&str, &str)] = &[("Accept", "text/event-stream")];
    const PAGE: &[(&str, &str)] = &[("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    const HTML: &[(&str, &str)] = &[("Content-Type", "text/html; charset=utf-8")];
    const EVENTS: &[(&str, &str)] = &[("content-type", "text/event-stream; charset=utf-8")];
    const JSON: &[(&str, &str)] = &[("Accept", "*/*"), ("Content-Type", "application/json")];
    const MCP: &[(&str, &str)] =
        &[("accept", "application/json, text/event-stream"), ("content-type", "application/json")];
    const SESSION: &[(&str, &str)] = &[("mcp-session-id", "0f3a86f2c9f54b0d8a6f3f0f9d2b1c7e")];
    let (set, matcher) = builtin();
    #[rustfmt::skip]
    let cases = [
        // Look-alikes.
        ("10.77.0.1:8000", 8000, "GET", "/sse", STREAM, EVENTS, "possible"),
        ("10.77.0.1:3845", 3845, "GET", "/sse", STREAM, EVENTS, "possible"),
        ("mcp.example.com", 80, "GET", "/", PAGE, HTML, "possible"),
        ("mcp.example.com", 80, "GET", "/docs/mcp", PAGE, HTML, "possible"),
        ("mcp.example.com", 80, "GET", "/mcp", PAGE, HTML, "possible"),
        ("mcp.example.com", 6274, "GET", "/mcp/img.png", &[("Accept", "*/*")], &[("content-type", "image/png")], "possible"),
        ("10.77.0.1:8000", 8000, "GET", "/blog/mcp", PAGE, HTML, "possible"),
        ("10.77.0.1:8000", 8000, "GET", "/blog", PAGE, HTML, "nothing"),
        ("10.77.0.1:8000", 8000, "POST", "/v1/chat/completions", JSON, EVENTS, "nothing"),
        ("api.openai.com", 443, "POST", "/v1/responses", JSON, EVENTS, "nothing"),
        ("api.anthropic.com", 443, "POST", "/v1/messages", JSON, EVENTS, "nothing"),
        ("10.77.0.1:9999", 9999, "POST", "/a2a", JSON, EVENTS, "nothing"),
        ("10.77.0.1:8545", 8545, "POST", "/", JSON, JSON, "nothing"),
        ("10.77.0.1:8000", 8000, "GET", "/stream", STREAM, EVENTS, "nothing"),
        ("www.mcpherson.edu", 443, "GET", "/", PAGE, HTML, "nothing"),
        ("api.githubcopilot.com", 443, "POST", "/chat/completions", JSON, EVENTS, "nothing"),
        ("hf.co", 443, "GET", "/mcp", PAGE, HTML, "possible"),
        ("127.0.0.1:6277", 6277, "GET", "/", PAGE, HTML, "possible"),
        ("127.0.0.1:8080", 8080, "GET", "/", PAGE, HTML, "nothing"),
        // MCP.
        ("10.77.0.1:8000", 8000, "POST", "/mcp", MCP, EVENTS, "likely"),
        ("10.77.0.1:8000", 8000, "POST", "/mcp", JSON, SESSION, "likely"),
        ("10.77.0.1:8000", 8000, "POST", "/", SESSION, EVENTS, "likely"),
        ("mcp.example.com", 443, "POST", "/mcp", JSON, JSON, "likely"),
        ("mcp.example.com", 443, "GET", "/sse", STREAM, EVENTS, "likely"),
        ("mcp.stripe.com", 443, "GET", "/", PAGE, HTML, "likely"),
        ("api.githubcopilot.com", 443, "POST", "/mcp/", JSON, EVENTS, "likely"),
    ];
    for (host, port, method, path, request, response, expected) in cases {
        let exchange = Exchange { host, port, method, path, request, response };
        let seen = verdict(set, matcher, &exchange);
        assert_eq!(seen, expected, "{method} {host}{path} at {port}");
    }
}

#[test]
fn names_are_looked_up_in_their_own_fields() {
    let (set, matcher) = builtin();
    let named = |field, name: &str| {
        let mut hits = HitSet::new();
        matcher.name(field, name.as_bytes(), &mut hits);
        ids(set, matcher, &hits)
    };
    let catalogued = named(NameField::TlsSni, "mcp.stripe.com");
    assert!(catalogued.contains(&"mcp.host.catalogue".to_owned()), "{catalogued:?}");
    assert_eq!(catalogued, named(NameField::DnsName, "MCP.STRIPE.com."));
    // A shared host says nothing by name alone.
    for name in ["hf.co", "www.googleapis.com", "example.workers.dev", "gitlab.com"] {
        assert!(named(NameField::TlsSni, name).is_empty(), "{name}");
    }
    // Not catalogued: only the word tells, and it is not the first label.
    let evil = named(NameField::TlsSni, "notmcp.stripe.com.mcp-x.example");
    assert_eq!(evil, ["mcp.host.word", "mcp.host.part"]);
    assert_eq!(
        named(NameField::DnsName, "_mcp._tcp.local"),
        ["mcp.host.word", "mcp.host.part", "mcp.dns-service"]
    );
    assert!(named(NameField::TlsSni, "api.anthropic.com").contains(&"ai.host".to_owned()));
}

#[test]
fn a_known_host_has_a_vendor() {
    let (_, matcher) = builtin();
    let vendor = |host: &str, path: Option<&str>| {
        let entry = matcher.known_host(host.as_bytes(), path.map(str::as_bytes))?;
        Some((entry.vendor.as_deref()?, entry.resource.as_deref()?))
    };
    assert_eq!(vendor("MCP.stripe.com:443", None), Some(("Stripe", "payments")));
    assert_eq!(vendor("new.mcp.cloudflare.com", None), Some(("Cloudflare", "cloud")));
    assert_eq!(vendor("gitlab.com", None), None);
    assert_eq!(vendor("gitlab.com", Some("/api/v4/mcp")), Some(("GitLab", "code")));
    assert_eq!(vendor("example.com", Some("/mcp")), None);
}

#[test]
fn header_names_are_compared_without_case_and_by_direction() {
    let (set, matcher) = builtin();
    let seen = |name: &str, value: &str, response: bool| {
        let mut hits = HitSet::new();
        let headers = [Header { name: name.as_bytes(), value: value.as_bytes() }];
        if response {
            matcher.response(&headers, &mut hits);
        } else {
            matcher.request(&RequestFields { headers: &headers, ..Default::default() }, &mut hits);
        }
        ids(set, matcher, &hits)
    };
    assert_eq!(seen("MCP-SESSION-ID", "abc", false), ["mcp.header.session-id"]);
    assert_eq!(seen("mcp-session-id", "abc", true), ["mcp.header.session-id"]);
    assert_eq!(seen("Mcp-Name", "", false), ["mcp.header.name"]);
    assert!(seen("Mcp-Name", "x", true).is_empty());
    assert_eq!(seen("user-agent", "claude-code/2.1", false), ["mcp.client.agent"]);
    assert!(seen("user-agent", "claude-code/2.1", true).is_empty());
    assert_eq!(seen("Sec-WebSocket-Protocol", "mcp", true), ["mcp.header.websocket"]);
}

#[test]
fn conditions_combine_and_may_come_later() {
    let (set, matcher) = set(r#"
        [[signature]]
        id = "late"
        title = "t"
        field = "http.body"
        substring = "needle"
        strength = "weak"
        when = [
            { any = [{ field = "http.method", exact = "PUT" }, { field = "http.method", exact = "POST" }] },
            { not = { field = "http.path", path_prefix = "/skip" } },
        ]
    "#);
    for (method, path, text, expected) in [
        ("POST", "/x", "a needle", true),
        ("PUT", "/x", "a needle", true),
        ("GET", "/x", "a needle", false),
        ("POST", "/skip/x", "a needle", false),
        ("POST", "/skipx", "a needle", true),
        ("POST", "/x", "hay", false),
    ] {
        let request = RequestFields {
            method: method.as_bytes(),
            path: path.as_bytes(),
            ..Default::default()
        };
        let mut hits = HitSet::new();
        matcher.request(&request, &mut hits);
        assert_eq!(matcher.signals(&hits).count(), 0);
        matcher.body().value(Direction::ToServer, text.as_bytes(), &mut hits);
        assert_eq!(ids(&set, &matcher, &hits) == ["late"], expected, "{method} {path} {text}");
    }
}

#[test]
fn wildcards_stand_for_labels() {
    let (set, matcher) = set(r#"
        [[signature]]
        id = "first"
        title = "t"
        field = "http.host"
        wildcard = "mcp.*"
        strength = "weak"
        [[signature]]
        id = "below"
        title = "t"
        field = "http.host"
        wildcard = "*.example.com"
        strength = "weak"
        [[signature]]
        id = "middle"
        title = "t"
        field = "http.host"
        wildcard = "a.*.example.net"
        strength = "weak"
        [[signature]]
        id = "part"
        title = "t"
        field = "http.host"
        wildcard = "x-*-y.example.org"
        strength = "weak"
    "#);
    for (host, expected) in [
        ("mcp.x", &["first"][..]),
        ("mcp.a.b.example.com:80", &["first", "below"]),
        ("mcp", &[]),
        ("a.mcp.x", &[]),
        ("example.com", &[]),
        ("notexample.com", &[]),
        ("example.com.evil", &[]),
        ("a.b.example.net", &["middle"]),
        ("a.b.c.example.net", &[]),
        ("a.example.net", &[]),
        ("x-12-y.example.org", &["part"]),
        ("x--y.example.org", &["part"]),
        ("x-1.2-y.example.org", &[]),
    ] {
        let mut hits = HitSet::new();
        let request = RequestFields { host: Some(host.as_bytes()), ..Default::default() };
        matcher.request(&request, &mut hits);
        assert_eq!(ids(&set, &matcher, &hits), expected, "{host}");
    }
}
