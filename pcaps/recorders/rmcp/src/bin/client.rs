//! An MCP client on rmcp. `client URL initialize|discover|auto [TOOL ...]`
//!
//! Without tools named it plays the scene of the `mill` server.
#![allow(deprecated)]

use std::time::Duration;

use rmcp::{
    ClientHandler, ErrorData, RoleClient,
    model::*,
    service::{ClientLifecycleMode, ClientServiceExt, RequestContext},
    transport::StreamableHttpClientTransport,
};
use serde_json::{Map, Value, json};

struct Miller;

impl ClientHandler for Miller {
    fn get_info(&self) -> ClientConfig {
        let mut config = ClientConfig::default();
        config.capabilities = ClientCapabilities::builder().enable_sampling().build();
        config.client_info = Implementation::new("miller", "0.2.0");
        config
    }

    async fn create_message(
        &self,
        _params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        Ok(CreateMessageResult::new(
            SamplingMessage::assistant_text("flour"),
            "small-1".to_owned(),
        ))
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

async fn play(url: String, mode: String) -> Result<(), Box<dyn std::error::Error>> {
    let modern = vec![ProtocolVersion::V_2026_07_28];
    let lifecycle = match mode.as_str() {
        "discover" => ClientLifecycleMode::Discover {
            preferred_versions: modern,
        },
        "auto" => ClientLifecycleMode::Auto {
            preferred_versions: modern,
            legacy_version: None,
        },
        _ => ClientLifecycleMode::Initialize,
    };
    let transport = StreamableHttpClientTransport::from_uri(url);
    let client = Miller.serve_with_lifecycle(transport, lifecycle).await?;
    let tools = client.list_all_tools().await?;
    let has = |name: &str| tools.iter().any(|t| t.name == name);
    let add = CallToolRequestParams::new("add").with_arguments(object(json!({"a": 2, "b": 40})));
    client.call_tool(add).await?;
    if has("grind") {
        let grind = CallToolRequestParams::new("grind").with_arguments(object(json!({"steps": 3})));
        client.call_tool(grind).await?;
    }
    if has("ask_model") {
        let ask = object(json!({"question": "Rye or wheat?"}));
        let _ = client
            .call_tool(CallToolRequestParams::new("ask_model").with_arguments(ask))
            .await;
    }
    let _ = client
        .call_tool(CallToolRequestParams::new("no_such_tool"))
        .await;
    client.cancel().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("usage: client URL MODE")?;
    let mode = args.next().unwrap_or_default();
    tokio::time::timeout(Duration::from_secs(30), play(url, mode)).await?
}
