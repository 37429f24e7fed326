//! The log of HTTP requests: what the engine saw of each, whether it speaks of
//! MCP or not.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::row::{CaptureColumns, FlowColumns};
use crate::time::Timestamp;

/// One HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRequest {
    /// When the packet came that completed the request's head.
    pub time: Timestamp,
    /// Where that packet is.
    pub capture: CaptureColumns,
    /// The flow.
    pub flow: FlowColumns,
    /// `1.0`, `1.1`, `2`, `3`.
    pub version: &'static str,
    /// Method as sent.
    pub method: String,
    /// Host and port as sent.
    pub host: Option<String>,
    /// Request target as sent, with its query.
    pub target: String,
    /// Path of the target, percent-decoded and without dot segments.
    pub path: String,
    /// Status of the final response, if it was seen.
    pub status: Option<u16>,
    /// The head was cut by a gap or a cap: fields may be missing.
    pub incomplete: bool,
    /// Two readers may understand differently where the body ends.
    pub ambiguous_framing: bool,
}

impl HttpRequest {
    /// What was odd about it, as written in the log.
    pub fn flags(&self) -> Vec<&'static str> {
        let flags =
            [(self.incomplete, "incomplete"), (self.ambiguous_framing, "ambiguous_framing")];
        flags.into_iter().filter_map(|(set, name)| set.then_some(name)).collect()
    }
}

/// Nests as findings do: `capture`, `flow`, `http`.
impl Serialize for HttpRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &format_args!("{}", self.time))?;
        map.serialize_entry("capture", &Capture(&self.capture))?;
        map.serialize_entry("flow", &Flow(&self.flow))?;
        map.serialize_entry("http", &Http(self))?;
        map.end()
    }
}

struct Capture<'a>(&'a CaptureColumns);

impl Serialize for Capture<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        entry(&mut map, "source", self.0.source.as_ref())?;
        entry(&mut map, "sensor", self.0.sensor.as_ref())?;
        entry(&mut map, "packet", self.0.packet)?;
        map.end()
    }
}

struct Flow<'a>(&'a FlowColumns);

impl Serialize for Flow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(flow) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("client_ip", &flow.client.ip())?;
        map.serialize_entry("client_port", &flow.client.port())?;
        map.serialize_entry("server_ip", &flow.server.ip())?;
        map.serialize_entry("server_port", &flow.server.port())?;
        map.serialize_entry("transport", flow.transport)?;
        map.serialize_entry("community_id", &flow.community_id)?;
        entry(&mut map, "tunnel", flow.tunnel.as_ref())?;
        map.end()
    }
}

struct Http<'a>(&'a HttpRequest);

impl Serialize for Http<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(request) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", request.version)?;
        map.serialize_entry("method", &request.method)?;
        entry(&mut map, "host", request.host.as_ref())?;
        map.serialize_entry("target", &request.target)?;
        map.serialize_entry("path", &request.path)?;
        entry(&mut map, "status", request.status)?;
        let flags = request.flags();
        entry(&mut map, "flags", (!flags.is_empty()).then_some(flags))?;
        map.end()
    }
}

/// An entry that is left out where there is nothing to say.
fn entry<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(name, &value),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::json_line;

    #[test]
    fn a_request_as_json() {
        let mut request = HttpRequest {
            time: Timestamp::from_nanos(1),
            capture: CaptureColumns {
                source: Some("a.pcap".to_owned()),
                sensor: None,
                packet: Some(4),
            },
            flow: FlowColumns {
                server_name: None,
                client: "192.0.2.1:40000".parse().unwrap(),
                server: "[2001:db8::1]:80".parse().unwrap(),
                transport: "tcp",
                community_id: "1:x".to_owned(),
                tunnel: None,
            },
            version: "1.1",
            method: "GET".to_owned(),
            host: None,
            target: "/a/../b?c".to_owned(),
            path: "/b".to_owned(),
            status: None,
            incomplete: false,
            ambiguous_framing: false,
        };
        let bare = json_line(&request).unwrap();
        assert_eq!(
            String::from_utf8(bare).unwrap(),
            concat!(
                r#"{"time":"1970-01-01T00:00:00.000000001Z","#,
                r#""capture":{"source":"a.pcap","packet":4},"#,
                r#""flow":{"client_ip":"192.0.2.1","client_port":40000,"#,
                r#""server_ip":"2001:db8::1","server_port":80,"transport":"tcp","#,
                r#""community_id":"1:x"},"#,
                r#""http":{"version":"1.1","method":"GET","target":"/a/../b?c","path":"/b"}}"#,
                "\n"
            )
        );
        request.host = Some("Example.org".to_owned());
        request.status = Some(404);
        request.incomplete = true;
        let full: serde_json::Value =
            serde_json::from_slice(&json_line(&request).unwrap()).unwrap();
        assert_eq!(full["http"]["host"], "Example.org");
        assert_eq!(full["http"]["status"], 404);
        assert_eq!(full["http"]["flags"], serde_json::json!(["incomplete"]));
    }
}
