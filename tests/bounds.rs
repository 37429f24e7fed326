//! What is kept of conversations is bounded while connections stay open, and what is
//! forgotten is counted.

use std::num::NonZeroUsize;

use mcpwatch::Engine;
use mcpwatch::capture::{Frame, LinkType, SourceId};
use mcpwatch::engine::Limits;
use mcpwatch::findings::{Kind, Row};
use mcpwatch::time::Timestamp;

use crate::support::wire::{Side, Wire};

fn post(session: usize, body: &str) -> String {
    let len = body.len();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Type: application/json\r\n\
         Mcp-Session-Id: {session}\r\nContent-Length: {len}\r\n\r\n{body}"
    )
}

/// A client that holds one connection open over ever new sessions.
#[test]
fn conversations_on_a_connection_that_stays_are_bounded() {
    const SESSIONS: usize = 3000;
    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#;
    let mut wire = Wire::new();
    let mut connection = wire.connect("192.0.2.1", "192.0.2.2:80");
    for session in 0..SESSIONS {
        wire.send(&mut connection, Side::Client, post(session, CALL).as_bytes());
        wire.send(
            &mut connection,
            Side::Server,
            b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
        );
    }
    let limits = Limits::for_memory(32 << 20, NonZeroUsize::MIN);
    let engine = Engine::builder().limits(limits).build().unwrap();
    let mut worker = engine.worker();
    let mut rows: Vec<Row> = Vec::new();
    for (number, data) in (1..).zip(wire.into_frames()) {
        let frame = Frame {
            number,
            time: Timestamp::from_parts(1_790_000_000, 1000 * number as u32),
            link: LinkType::ETHERNET,
            source: SourceId(0),
            original_len: data.len() as u32,
            data: &data,
        };
        worker.on_frame(&frame, &mut rows);
    }
    let early = rows.iter().filter(|row| row.kind == Kind::Conversation).count() as u64;
    let counted = worker.statistics().collector;
    assert!(early > 0 && counted.conversations_evicted == early, "{early}: {counted:?}");
    worker.finish(&mut rows);
    let conversations: Vec<&Row> =
        rows.iter().filter(|row| row.kind == Kind::Conversation).collect();
    // Those that were summed up early are whole as well.
    assert_eq!(conversations.len(), SESSIONS);
    assert!(conversations.iter().all(|row| row.mcp.tools == ["t"]));
}
