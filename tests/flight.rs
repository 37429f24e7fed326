//! Findings to a collector over Arrow Flight, which comes late, refuses and goes.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use mcpwatch::findings::read::Rows;
use mcpwatch::findings::schema::arrow_schema;
use tonic::{Request, Response, Status, Streaming};

use crate::support::corpus;
use crate::support::run::{run, run_on};

const CAPTURE: &str = "p-py130-20sessions.pcap";

type Answer<T> = Result<Response<T>, Status>;

/// What came with one call.
struct Put {
    path: Vec<String>,
    ids: Vec<String>,
}

/// A collector that refuses its first calls.
struct Collector {
    refuses: std::sync::atomic::AtomicUsize,
    puts: Sender<Put>,
}

/// A collector that runs until it is dropped.
struct Running {
    address: SocketAddr,
    puts: Receiver<Put>,
    runtime: tokio::runtime::Runtime,
}

impl Running {
    /// Starts a collector at an address.
    fn start(address: SocketAddr, refuses: usize) -> Self {
        let (sender, puts) = channel();
        let collector = Collector { refuses: refuses.into(), puts: sender };
        let service = FlightServiceServer::new(collector);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = tonic::transport::Server::builder().add_service(service).serve(address);
        runtime.spawn(server);
        Self { address, puts, runtime }
    }

    /// The ids of the rows that came until now.
    fn ids(&self) -> BTreeSet<String> {
        self.puts.try_iter().flat_map(|put| put.ids).collect()
    }
}

/// An address that nobody uses.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The ids of the findings in a file.
fn written(path: &Path) -> BTreeSet<String> {
    Rows::open(path).unwrap().map(|row| row.unwrap().id).collect()
}

#[tonic::async_trait]
impl FlightService for Collector {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        use std::sync::atomic::Ordering::SeqCst;
        let left = self.refuses.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err(Status::unavailable("not yet"));
        }
        let mut data = Box::pin(request.into_inner().peekable());
        let first = data.as_mut().peek().await;
        let descriptor = first.unwrap().as_ref().unwrap().flight_descriptor.clone();
        let data = data.map_err(|status| FlightError::Tonic(Box::new(status)));
        let mut batches = FlightRecordBatchStream::new_from_flight_data(data);
        let mut bytes = Vec::new();
        let mut writer =
            arrow_ipc::writer::StreamWriter::try_new(&mut bytes, &arrow_schema()).unwrap();
        while let Some(batch) = batches.try_next().await.unwrap() {
            assert_eq!(batch.schema(), arrow_schema());
            writer.write(&batch).unwrap();
        }
        writer.finish().unwrap();
        drop(writer);
        let rows = Rows::from_reader(Path::new("put"), Box::new(std::io::Cursor::new(bytes)));
        let ids = rows.unwrap().map(|row| row.unwrap().id).collect();
        self.puts.send(Put { path: descriptor.unwrap().path, ids }).unwrap();
        Ok(Response::new(stream::empty().boxed()))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Answer<Self::HandshakeStream> {
        Err(Status::unimplemented(""))
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        Err(Status::unimplemented(""))
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        Err(Status::unimplemented(""))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<PollInfo> {
        Err(Status::unimplemented(""))
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        Err(Status::unimplemented(""))
    }

    async fn do_get(&self, _: Request<Ticket>) -> Answer<Self::DoGetStream> {
        Err(Status::unimplemented(""))
    }

    async fn do_action(&self, _: Request<Action>) -> Answer<Self::DoActionStream> {
        Err(Status::unimplemented(""))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        Err(Status::unimplemented(""))
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Answer<Self::DoExchangeStream> {
        Err(Status::unimplemented(""))
    }
}

#[test]
fn a_scan_hands_its_findings_to_a_collector() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.arrows");
    let collector = Running::start(free(), 0);
    let address = collector.address;
    // It listens when the first attempt of the sort succeeds.
    while std::net::TcpStream::connect(address).is_err() {
        std::thread::yield_now();
    }
    let line = format!("scan --messages -o {} -o grpc://{address}/team/mcp", file.display());
    run_on(&line, &corpus::path(CAPTURE)).exits(0);
    let puts: Vec<Put> = collector.puts.try_iter().collect();
    assert!(puts.iter().all(|put| put.path == ["team", "mcp"]));
    let ids: BTreeSet<String> = puts.into_iter().flat_map(|put| put.ids).collect();
    assert_eq!(ids, written(&file));
    assert!(!ids.is_empty());
}

#[test]
fn a_collector_that_is_not_there_is_said() {
    let line = format!("scan -o grpc://{} pcaps/quickstart.pcap", free());
    let said = run(&line).exits(2);
    assert!(said.stderr.contains("cannot write grpc://"), "{}", said.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn a_collector_that_comes_late_refuses_and_goes_misses_nothing() {
    use crate::support::network::{Network, WATCHED};
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let [file, spool] = ["f.jsonl", "spool"].map(|name| folder.path().join(name));
        let address = free();
        let outputs = format!("-o {} -o grpc://{address}", file.display());
        let line = format!("-i {WATCHED} {outputs} --messages --spool {}", spool.display());
        let mut sensor = network.sense(&line);
        network.send(&corpus::path(CAPTURE));
        sensor.wait_for("findings wait until they are taken");
        let first = Running::start(address, 2);
        sensor.wait_for("findings are taken again");
        let Running { puts, runtime, .. } = first;
        runtime.shutdown_background();
        let mut ids: BTreeSet<String> = puts.iter().flat_map(|put| put.ids).collect();
        network.send_again(&corpus::path(CAPTURE), 2);
        let second = Running::start(address, 1);
        sensor.end().exits(0);
        // What was not taken by the end is taken after the next start.
        let sensor =
            network.sense(&format!("-i {WATCHED} -o grpc://{address} --spool {}", spool.display()));
        sensor.end().exits(0);
        ids.extend(second.ids());
        assert!(written(&file).is_subset(&ids));
    });
}
