//! An MCP server on rmcp. `server PORT LOG [json] [stateless]`
//!
//! A layer around the service writes what passes as JSON lines (see lib/truth.py).
#![allow(deprecated)] // sampling is deprecated in 2026-07-28, and still spoken

use std::{
    fs::File,
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::HeaderMap,
    middleware::{self, Next},
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler,
    handler::server::{router::tool::ToolRouter, wrapper::Parameters},
    model::*,
    schemars, tool, tool_handler, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use serde_json::{Value, json};

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Pair {
    a: i64,
    b: i64,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Steps {
    steps: u32,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Question {
    question: String,
}

#[derive(Clone)]
struct Mill {
    tool_router: ToolRouter<Self>,
}

#[tool_router]
impl Mill {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Pair { a, b }): Parameters<Pair>) -> String {
        (a + b).to_string()
    }

    #[tool(description = "Grinds, with progress")]
    async fn grind(
        &self,
        Parameters(Steps { steps }): Parameters<Steps>,
        meta: RequestMetaObject,
        client: Peer<RoleServer>,
    ) -> String {
        for step in 1..=steps {
            if let Some(token) = meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token.clone(), f64::from(step))
                    .with_total(f64::from(steps));
                let _ = client.notify_progress(progress).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        "ground".to_owned()
    }

    #[tool(description = "Asks the client's model (sampling)")]
    async fn ask_model(
        &self,
        Parameters(Question { question }): Parameters<Question>,
        client: Peer<RoleServer>,
    ) -> Result<String, ErrorData> {
        let ask = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(question)], 32);
        match client.create_message(ask).await {
            Ok(answer) => Ok(format!("{} said something", answer.model)),
            Err(error) => Err(ErrorData::internal_error(error.to_string(), None)),
        }
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Mill {
    fn get_info(&self) -> ServerConfig {
        let mut config = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        config.server_info = Implementation::new("mill", "0.3.1");
        config
    }
}

#[derive(Clone)]
struct Log {
    file: Arc<Mutex<File>>,
    next: Arc<AtomicU64>,
}

impl Log {
    fn write(&self, exchange: u64, event: &str, fields: Value) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        let mut line = json!({"x": exchange.to_string(), "t": now, "ev": event});
        if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
            line.extend(fields);
        }
        if let Ok(mut file) = self.file.lock() {
            let _ = writeln!(file, "{line}");
        }
    }
}

fn pairs(headers: &HeaderMap) -> Value {
    headers
        .iter()
        .map(|(k, v)| json!([k.as_str(), String::from_utf8_lossy(v.as_bytes())]))
        .collect()
}

async fn watch(State(log): State<Log>, request: Request, next: Next) -> Response {
    let x = log.next.fetch_add(1, Ordering::Relaxed);
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    log.write(x, "req", json!({
        "method": parts.method.as_str(), "path": path, "version": "1.1", "headers": pairs(&parts.headers),
    }));
    let body = body
        .collect()
        .await
        .map(|b| b.to_bytes())
        .unwrap_or_default();
    if !body.is_empty() {
        log.write(x, "reqbody", json!({"b": BASE64_STANDARD.encode(&body)}));
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (parts, body) = response.into_parts();
    log.write(
        x,
        "resp",
        json!({"status": parts.status.as_u16(), "headers": pairs(&parts.headers)}),
    );
    let body = Body::from_stream(body.into_data_stream().inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            log.write(x, "respbody", json!({"b": BASE64_STANDARD.encode(chunk)}));
        }
    }));
    Response::from_parts(parts, body)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let has = |name: &str| args.iter().any(|a| a == name);
    let log = Log {
        file: Arc::new(Mutex::new(
            File::options().append(true).create(true).open(&args[2])?,
        )),
        next: Arc::new(AtomicU64::new(0)),
    };
    let service: StreamableHttpService<Mill, LocalSessionManager> = StreamableHttpService::new(
        || {
            Ok(Mill {
                tool_router: Mill::tool_router(),
            })
        },
        Default::default(),
        StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .with_legacy_session_mode(!has("stateless"))
            .with_json_response(has("json")),
    );
    let app = axum::Router::new()
        .nest_service("/mcp", service)
        .layer(middleware::from_fn_with_state(log, watch));
    let listener = tokio::net::TcpListener::bind(("0.0.0.0", args[1].parse()?)).await?;
    axum::serve(listener, app).await?;
    Ok(())
}
