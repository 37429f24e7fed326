//! A collector that speaks Arrow Flight: every batch is a `DoPut` of its own, and has
//! been taken when the collector ended the call without an error. Nothing is taken for
//! delivered that was not acknowledged.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::{FlightClient, FlightDescriptor};
use futures::{TryStreamExt, stream};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Endpoint;

use super::consumer::{Consumer, Refused};
use super::{SinkError, Target};
use crate::findings::schema::arrow_schema;

/// Longest that a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How often a silent collector is asked whether it is still there, and how long it has
/// to answer.
const ALIVE: Duration = Duration::from_secs(20);

/// What findings are called where the address does not say.
const PATH: &str = "findings";

/// The collector at an address such as `grpc://host:port/path`.
pub(super) fn consumer(address: &str) -> Result<Box<dyn Consumer>, SinkError> {
    let target = Target(address.to_owned());
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut path: Vec<String> =
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if path.is_empty() {
        path.push(PATH.to_owned());
    }
    let endpoint = Endpoint::from_shared(format!("http://{host}"));
    let endpoint = endpoint.map_err(|error| target.error(error))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(ALIVE)
        .keep_alive_timeout(ALIVE)
        .keep_alive_while_idle(true);
    // A thread of its own answers the collector while no batch is on its way.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| target.error(error))?;
    Ok(Box::new(Collector { runtime, endpoint, path, client: None }))
}

struct Collector {
    runtime: Runtime,
    endpoint: Endpoint,
    path: Vec<String>,
    client: Option<FlightClient>,
}

impl Consumer for Collector {
    fn connect(&mut self) -> Result<(), Refused> {
        self.client = None;
        let channel = self.runtime.block_on(self.endpoint.connect())?;
        self.client = Some(FlightClient::new(channel));
        Ok(())
    }

    fn deliver(&mut self, batch: &RecordBatch) -> Result<usize, Refused> {
        let client = self.client.as_mut().ok_or("not connected")?;
        let put = put(client, self.path.clone(), batch.clone());
        self.runtime.block_on(put)?;
        Ok(0)
    }

    fn unread(&self) -> usize {
        0
    }
}

async fn put(
    client: &mut FlightClient,
    path: Vec<String>,
    batch: RecordBatch,
) -> Result<(), FlightError> {
    let data = FlightDataEncoderBuilder::new()
        .with_schema(arrow_schema())
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_flight_descriptor(Some(FlightDescriptor::new_path(path)))
        .build(stream::iter([Ok(batch)]));
    let mut results = client.do_put(data).await?;
    while results.try_next().await?.is_some() {}
    Ok(())
}
