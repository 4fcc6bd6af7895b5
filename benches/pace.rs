//! How near a backfill comes to the five calls a second that Enedis allows, and never over.
//!
//! The whole history of one meter, 226 calls, over a real socket on loopback: answers take 0.6
//! seconds, and each request is held up by 0 to 50 ms of chance before it arrives, as networks
//! do. The simulated Enedis refuses the sixth call of any second, wherever that second begins.

#[path = "support/enedis.rs"]
mod enedis;
#[path = "support/engine.rs"]
mod engine;
#[path = "support/figures.rs"]
mod figures;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use linkyd::client::{HttpTransport, Transport, TransportError};
use linkyd::clock::{Calendar, Clock, SystemClock};
use linkyd::domain::Api;
use linkyd::engine::Selection;
use linkyd::simulator::{Faults, Simulator};
use linkyd::source::{Request, Response};
use linkyd::store::Store;
use linkyd::store::sqlite::{Mode, SqliteStore};
use tokio_util::sync::CancellationToken;

use figures::{Outcome, StopWatch, line, median};

/// How long an answer takes.
const ANSWER_MS: u64 = 600;

/// The most that a request is held up on its way.
const JITTER_US: u64 = 50_000;

/// A network that holds requests up.
#[derive(Debug)]
struct Jittery {
    inner: HttpTransport,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Transport for Jittery {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        self.clock.sleep(Duration::from_micros(fastrand::u64(0..=JITTER_US))).await;
        self.inner.send(request).await
    }
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
async fn main() -> Outcome {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let now = enedis::NOW.parse()?;
    let prm = enedis::prm()?;
    let simulator =
        Simulator::new(enedis::world(prm.clone()), Arc::clone(&clock), Calendar::new(Arc::clone(&clock), Some(now)));
    simulator.set_faults(Faults { latency_ms: ANSWER_MS, ..Faults::none() });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let base: url::Url = format!("http://{}/", listener.local_addr()?).parse()?;
    let enedis = simulator.clone();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move { enedis.serve(listener, async move { stopped.cancelled().await }).await });

    let folder = tempfile::tempdir_in(PathBuf::from(env!("CARGO_TARGET_TMPDIR")))?;
    let store = SqliteStore::open(&folder.path().join("linkyd.db"), Mode::Create, "bench").await?;
    let store: Arc<dyn Store> = Arc::new(store);
    let source = Arc::new(enedis::source(base.clone(), Api::V2026));
    let transport = Arc::new(Jittery { inner: HttpTransport::new(&base)?, clock: Arc::clone(&clock) });
    let engine = engine::engine(store, Arc::clone(&clock), now, source, transport, prm);

    line("A whole history at five calls a second, answers after 0.6 s, 0 to 50 ms of jitter")?;
    let watch = StopWatch::default();
    let report = engine.pass(&Selection::default(), &CancellationToken::new(), &|_| ()).await?;
    let wall = watch.elapsed().as_secs_f64();
    stop.cancel();

    let arrivals: Vec<Duration> = simulator.log().iter().map(|call| call.arrived).collect();
    let gap = |pair: &[Duration]| Some(pair.last()?.saturating_sub(*pair.first()?).as_secs_f64() * 1e3);
    let gaps: Vec<f64> = arrivals.windows(2).filter_map(gap).collect();
    let longest = gaps.iter().copied().fold(0.0, f64::max);
    let counters = simulator.counters();
    let (first, last) = counters.first_arrival.zip(counters.last_arrival).ok_or("calls arrived")?;
    let between = last.saturating_sub(first).as_secs_f64();
    let calls = arrivals.len() as f64;
    line(&format!("calls                      {:>8}  ({} left)", arrivals.len(), report.left))?;
    line(&format!("calls a second, arriving   {:>8.2}", (calls - 1.0) / between))?;
    line(&format!("calls a second, in all     {:>8.2}  ({wall:.1} s with token, plan and last answer)", calls / wall))?;
    line(&format!("most in any second         {:>8}", counters.max_in_a_second))?;
    line(&format!("refused                    {:>8}", counters.refused_by_second + counters.refused_by_hour))?;
    line(&format!("between two calls, ms      {:>8.0}  ({longest:.0} at the most)", median(gaps)))
}
