//! A source of your own: a pool of tokenizer processes that tells its state over TCP, one `name
//! value` a line. `docs/write-your-own-source.md` walks through this program.
//!
//! ```text
//! cargo run -p tokenpath-examples --bin own_source
//! ```

use std::error::Error;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokenpath_core::exposition::Format;
use tokenpath_core::{
    BoxSource, CollectError, Desc, MetricType, Reason, Snapshot, Source, SourceId, Unit,
};
use tokenpath_scrape::runner::{Exporter, SourceOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

static WAITING: LazyLock<Arc<Desc>> = LazyLock::new(|| {
    Arc::new(Desc::new(
        "tokenizer_texts_waiting",
        MetricType::Gauge,
        Unit::None,
        "Texts that wait for a worker at the moment of the scrape.",
    ))
});

static BUSY: LazyLock<Arc<Desc>> = LazyLock::new(|| {
    Arc::new(Desc::new(
        "tokenizer_busy_seconds_total",
        MetricType::Counter,
        Unit::Seconds,
        "Time that all workers together spent on texts since the pool started.",
    ))
});

static FAMILIES: LazyLock<[Arc<Desc>; 2]> =
    LazyLock::new(|| [Arc::clone(&WAITING), Arc::clone(&BUSY)]);

/// Reads one pool.
struct TokenizerPool {
    id: SourceId,
    address: String,
}

impl TokenizerPool {
    fn new(address: &str) -> Self {
        Self {
            id: SourceId::new("tokenizer", address),
            address: address.to_owned(),
        }
    }
}

impl Source for TokenizerPool {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn describe(&self) -> &[Arc<Desc>] {
        &*FAMILIES
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        let status = read_status(&self.address)
            .await
            .map_err(|error| CollectError::new(Reason::Connect, error))?;
        if status.is_empty() {
            return Err(CollectError::new(Reason::Empty, "the pool said nothing"));
        }
        write_status(&status, out)
    }
}

/// The largest answer that is read: a pool says a few lines, anything else is not a pool.
const STATUS_LIMIT: u64 = 64 * 1024;

async fn read_status(address: &str) -> std::io::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let mut status = String::new();
    stream
        .take(STATUS_LIMIT)
        .read_to_string(&mut status)
        .await?;
    Ok(status)
}

fn write_status(status: &str, out: &mut Snapshot) -> Result<(), CollectError> {
    for line in status.lines() {
        let (name, value) = line
            .split_once(' ')
            .and_then(|(name, value)| Some((name, value.parse::<f64>().ok()?)))
            .ok_or_else(|| {
                CollectError::new(Reason::Parse, format!("not `name value`: {line:?}"))
            })?;
        out.tally_mut().count_samples(1);
        match name {
            "waiting" => out.family(&WAITING).sample(&[], value),
            "busy_ms" => out
                .family(&BUSY)
                .sample(&[], seconds_from_milliseconds(value)),
            // A newer pool may say more; what it does not say is absent from the page.
            _ => continue,
        };
    }
    Ok(())
}

fn seconds_from_milliseconds(milliseconds: f64) -> f64 {
    milliseconds / 1000.0
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // A pool to read, and an address where there is none.
    let pool = pretend_pool("waiting 3\nbusy_ms 81250\nfree_memory 12\n").await?;
    let mut exporter = Exporter::new();
    for address in [pool.as_str(), "127.0.0.1:9"] {
        exporter.add(
            BoxSource::new(TokenizerPool::new(address)),
            SourceOptions::new(),
        );
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    let page = Arc::new(exporter).page(Format::Text004, deadline).await;
    print!("{}", String::from_utf8(page)?);
    Ok(())
}

/// Says `status` to everyone who connects.
async fn pretend_pool(status: &'static str) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whoever leaves early has what they wanted.
            _ = stream.write_all(status.as_bytes()).await;
        }
    });
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn collect(status: &'static str) -> (Snapshot, Result<(), CollectError>) {
        let address = pretend_pool(status).await.unwrap();
        let mut snapshot = Snapshot::new();
        let result = TokenizerPool::new(&address).collect(&mut snapshot).await;
        (snapshot, result)
    }

    #[tokio::test]
    async fn says_what_the_pool_says_in_base_units() {
        let (snapshot, result) = collect("waiting 3\nbusy_ms 81250\nnew_thing 1\n").await;
        result.unwrap();
        assert_eq!(snapshot.value("tokenizer_texts_waiting", &[]), Some(3.0));
        assert_eq!(
            snapshot.value("tokenizer_busy_seconds_total", &[]),
            Some(81.25)
        );
    }

    #[tokio::test]
    async fn what_the_pool_does_not_say_is_absent() {
        let (snapshot, result) = collect("waiting 0\n").await;
        result.unwrap();
        assert_eq!(snapshot.value("tokenizer_texts_waiting", &[]), Some(0.0));
        assert_eq!(snapshot.value("tokenizer_busy_seconds_total", &[]), None);
    }

    #[tokio::test]
    async fn a_reading_that_fails_says_why() {
        for (status, reason) in [("", Reason::Empty), ("waiting lots\n", Reason::Parse)] {
            let (_, result) = collect(status).await;
            assert_eq!(result.unwrap_err().reason(), reason, "{status:?}");
        }
        let nobody = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let result = TokenizerPool::new(&nobody.to_string())
            .collect(&mut Snapshot::new())
            .await;
        assert_eq!(result.unwrap_err().reason(), Reason::Connect);
    }
}
