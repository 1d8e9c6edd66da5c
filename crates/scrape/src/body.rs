//! Reading a body into memory, never more of it than allowed.

use std::error::Error as StdError;
use std::pin::Pin;

use bytes::Buf;
use flate2::{Decompress, FlushDecompress, Status};
use http_body_util::BodyExt;
use hyper::body::Body;

/// How the bytes of a body are packed on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As they are.
    Identity,
    /// `Content-Encoding: gzip`, one member or several.
    Gzip,
}

/// Reads `body` to its end and appends the unpacked bytes to `out`; returns how many came over the
/// wire.
///
/// `limit` holds for both: the bytes on the wire and the bytes unpacked. It is checked while they
/// come in, so a body without an end, or a small one that unpacks to a huge one, costs no more
/// memory than the limit. `out` is not shrunk and not given back: a buffer that is reused stops
/// allocating once it is as large as the page. Trailers are read and dropped.
///
/// Dropping the future leaves in `out` what had come so far.
///
/// # Errors
///
/// See [`BodyError`]. `out` then holds a part of the body, which is of no use.
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use tokenpath_scrape::body::{BodyError, Coding, read_capped};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut out = Vec::new();
/// let mut body = Full::new(Bytes::from_static(b"up 1\n"));
/// assert_eq!(read_capped(&mut body, Coding::Identity, 100, &mut out).await.unwrap(), 5);
/// assert_eq!(out, b"up 1\n");
///
/// let mut body = Full::new(Bytes::from_static(b"up 1\n"));
/// let error = read_capped(&mut body, Coding::Identity, 4, &mut out).await.unwrap_err();
/// assert!(matches!(error, BodyError::TooLarge { limit: 4 }));
/// # });
/// ```
pub async fn read_capped<B>(
    body: &mut B,
    coding: Coding,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<usize, BodyError<B::Error>>
where
    B: Body + Unpin,
{
    let start = out.len();
    // A length that is announced and too large is not even begun.
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
    if let (Coding::Identity, Ok(announced)) = (coding, usize::try_from(announced)) {
        out.reserve_exact(announced.min(BELIEVED));
    }
    let mut inflate = (coding == Coding::Gzip).then(|| Inflate::new(limit));
    let mut wire = 0_usize;
    while let Some(frame) = Pin::new(&mut *body).frame().await {
        let Ok(mut data) = frame.map_err(BodyError::Transport)?.into_data() else {
            continue;
        };
        while data.has_remaining() {
            let chunk = data.chunk();
            let length = chunk.len();
            wire = wire.saturating_add(length);
            if wire > limit {
                return Err(BodyError::TooLarge { limit });
            }
            match &mut inflate {
                Some(inflate) => inflate.feed(chunk, start, out)?,
                None => {
                    reserve(out, length, start, limit);
                    out.extend_from_slice(chunk);
                }
            }
            data.advance(length);
        }
    }
    if inflate.is_some_and(|inflate| !inflate.complete) {
        return Err(BodyError::BrokenOff);
    }
    Ok(wire)
}

/// Room that is made for a length which is only announced. A page has its exact size then.
const BELIEVED: usize = 1024 * 1024;

/// Makes room for `more` bytes: doubling, but not past the limit, where doubling could take twice of
/// what is allowed.
fn reserve(out: &mut Vec<u8>, more: usize, start: usize, limit: usize) {
    if out.capacity() - out.len() >= more {
        return;
    }
    let used = out.len() - start;
    let wanted = (used * 2).max(8 * 1024).min(limit + 1).max(used + more);
    out.reserve_exact(wanted - used);
}

struct Inflate {
    stream: Decompress,
    limit: usize,
    /// Whether the input so far is a whole number of gzip members, and at least one.
    complete: bool,
}

impl Inflate {
    /// 32 KiB of window, whatever the member asks for.
    const WINDOW_BITS: u8 = 15;

    fn new(limit: usize) -> Self {
        Self {
            stream: Decompress::new_gzip(Self::WINDOW_BITS),
            limit,
            complete: false,
        }
    }

    fn feed<E>(
        &mut self,
        mut input: &[u8],
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), BodyError<E>> {
        // Output may be waiting for room although the input is used up: go on until room is left.
        while !input.is_empty() || out.len() == out.capacity() {
            if self.complete {
                if input.is_empty() {
                    break;
                }
                self.stream = Decompress::new_gzip(Self::WINDOW_BITS);
                self.complete = false;
            }
            reserve(out, 1, start, self.limit);
            let (before_in, before_out) = (self.stream.total_in(), out.len());
            let status = self
                .stream
                .decompress_vec(input, out, FlushDecompress::None)
                .map_err(|_| BodyError::NotGzip)?;
            let used = usize::try_from(self.stream.total_in() - before_in).unwrap_or(usize::MAX);
            input = input.get(used..).unwrap_or_default();
            if out.len() - start > self.limit {
                return Err(BodyError::TooLarge { limit: self.limit });
            }
            match status {
                Status::StreamEnd => self.complete = true,
                // Neither input nor room was used although there was both: a preset dictionary or
                // the like, which gzip does not have.
                Status::Ok | Status::BufError if used == 0 && out.len() == before_out => {
                    return if input.is_empty() {
                        Ok(())
                    } else {
                        Err(BodyError::NotGzip)
                    };
                }
                Status::Ok | Status::BufError => {}
            }
        }
        Ok(())
    }
}

/// Why a body could not be read. `E` is the error of the transport.
#[derive(Debug, thiserror::Error)]
pub enum BodyError<E> {
    /// More bytes than allowed, on the wire or unpacked.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Labelled gzip, and is not.
    #[error("the body is labelled gzip and is not valid gzip")]
    NotGzip,
    /// The gzip stream ended too early.
    #[error("the gzip body is broken off")]
    BrokenOff,
    /// The connection failed, or the framing of the body.
    #[error("the body could not be read to its end")]
    Transport(#[source] E),
}

impl<E: StdError + 'static> BodyError<E> {
    /// The error of the transport, if it was that.
    pub fn transport(&self) -> Option<&E> {
        match self {
            Self::Transport(cause) => Some(cause),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::Write;

    use bytes::Bytes;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use hyper::body::Frame;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// A body that comes in pieces of a given size.
    struct Pieces {
        rest: Bytes,
        size: usize,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let size = self.size.min(self.rest.len());
            std::task::Poll::Ready(if size == 0 {
                None
            } else {
                Some(Ok(Frame::data(self.rest.split_to(size))))
            })
        }
    }

    fn read(
        data: &[u8],
        size: usize,
        coding: Coding,
        limit: usize,
    ) -> Result<Vec<u8>, BodyError<Infallible>> {
        let mut body = Pieces {
            rest: Bytes::copy_from_slice(data),
            size,
        };
        let mut out = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(read_capped(&mut body, coding, limit, &mut out))?;
        assert!(
            out.capacity() <= limit.max(8 * 1024) + 1,
            "{} for {limit}",
            out.capacity()
        );
        Ok(out)
    }

    fn page() -> Vec<u8> {
        (0..2_000)
            .flat_map(|i| format!("some_metric{{a=\"{i}\"}} {i}\n").into_bytes())
            .collect()
    }

    #[test]
    fn unpacks_in_pieces_of_any_size() {
        let page = page();
        let packed = gzip(&page);
        for size in [1, 2, 7, 1000, packed.len()] {
            assert_eq!(read(&packed, size, Coding::Gzip, page.len()).unwrap(), page);
            assert_eq!(
                read(&page, size, Coding::Identity, page.len()).unwrap(),
                page
            );
        }
    }

    #[test]
    fn unpacks_several_members_one_after_another() {
        let packed = [gzip(b"a 1\n"), gzip(b""), gzip(b"b 2\n")].concat();
        for size in [1, 3, packed.len()] {
            assert_eq!(
                read(&packed, size, Coding::Gzip, 100).unwrap(),
                b"a 1\nb 2\n"
            );
        }
    }

    #[test]
    fn stops_at_the_limit_and_not_before() {
        let page = page();
        for (data, coding) in [
            (page.clone(), Coding::Identity),
            (gzip(&page), Coding::Gzip),
        ] {
            assert!(read(&data, 100, coding, page.len()).is_ok());
            let error = read(&data, 100, coding, page.len() - 1).unwrap_err();
            assert!(matches!(error, BodyError::TooLarge { .. }));
        }
        assert!(matches!(
            read(&page, 100, Coding::Identity, 0),
            Err(BodyError::TooLarge { .. })
        ));
    }

    #[test]
    fn refuses_gzip_cut_at_every_byte() {
        let packed = gzip(b"some_metric 1\nother_metric 2\n");
        for end in 0..packed.len() {
            let error = read(&packed[..end], 5, Coding::Gzip, 1000).unwrap_err();
            assert!(
                matches!(error, BodyError::BrokenOff),
                "cut at {end}: {error:?}"
            );
        }
    }

    #[test]
    fn refuses_what_is_not_gzip() {
        let mut wrong_checksum = gzip(b"some_metric 1\n");
        let at = wrong_checksum.len() - 8;
        wrong_checksum[at] ^= 1;
        let trailing = [gzip(b"a 1\n"), b"garbage".to_vec()].concat();
        for data in [b"# HELP a b\n".to_vec(), wrong_checksum, trailing] {
            assert!(matches!(
                read(&data, 4, Coding::Gzip, 1000),
                Err(BodyError::NotGzip)
            ));
        }
    }
}
