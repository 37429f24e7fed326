//! Request targets, hosts and other texts of heads.
//!
//! Input: the text.

use mcpwatch::mcp::{self, Charset, Endpoint, Session};
use mcpwatch::stream::uri::{Authority, Target, normalise_path, query_pairs};

/// Runs the target.
pub fn run(data: &[u8]) {
    let target = Target::parse(data);
    // The parts lie in the target in this order, and do not overlap.
    let parts = [target.scheme, target.authority, Some(target.path), target.query];
    let mut end = data.as_ptr().addr();
    for part in parts.into_iter().flatten().filter(|part| !part.is_empty()) {
        let range = part.as_ptr_range();
        assert!(end <= range.start.addr(), "{target:?}");
        end = range.end.addr();
    }
    assert!(end <= data.as_ptr_range().end.addr());
    path(target.path);
    for (name, value) in query_pairs(target.query.unwrap_or(data)) {
        for encoded in [name, value] {
            let mut decoded = Vec::new();
            encoded.decode_into(&mut decoded);
            assert!(encoded.is(&decoded) && decoded.len() <= encoded.0.len());
        }
    }
    host(target.authority.unwrap_or(data));
    texts(data);
}

/// A normalised path that was absolute is, and has no dot segments; to
/// normalise it again (if that decodes nothing more) changes nothing.
fn path(path: &[u8]) {
    let mut normal = Vec::new();
    normalise_path(path, &mut normal);
    assert!(!normal.is_empty() && normal.len() <= path.len().max(1));
    if normal.first() == Some(&b'/') {
        let dots = normal
            .split(|&byte| byte == b'/')
            .find(|segment| matches!(segment, [b'.'] | [b'.', b'.']));
        assert_eq!(dots, None, "{}", normal.escape_ascii());
    }
    if !normal.contains(&b'%') {
        let mut again = Vec::new();
        normalise_path(&normal, &mut again);
        assert_eq!(again, normal);
    }
}

fn host(authority: &[u8]) {
    let authority = Authority::parse(authority);
    let mut normal = Vec::new();
    authority.normalise_host(&mut normal);
    assert!(normal.len() <= authority.host.len());
    assert!(!normal.iter().any(u8::is_ascii_uppercase));
}

fn texts(data: &[u8]) {
    if let Some(endpoint) = Endpoint::parse(data) {
        for base in ["", "/", "/sse", "/a/b/?c", "a/../b"] {
            let path = endpoint.resolve(base);
            assert!(path.is_empty() || path.starts_with('/'), "{base} {endpoint:?}: {path}");
        }
    }
    Charset::from_content_type(data);
    mcp::headers::decode_value(data);
    if let Ok(text) = std::str::from_utf8(data) {
        Session::in_query(text);
        mcp::is_revision_name(text);
    }
}
