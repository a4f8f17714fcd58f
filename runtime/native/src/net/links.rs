//! WebSocket connections as links: a number, bytes in, bytes out, and bounds on both.
//!
//! What a machine sends lies in a queue of at most [`MOST_QUEUED_BYTES`] until the socket takes it: who reads too slowly is
//! cut off, and costs no more than that. What comes in waits in the socket while the machine is busy: [`MOST_UNHEARD`] frames
//! of a link are read ahead at most.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{Sink, SinkExt, Stream, StreamExt, pin_mut};
use network::node::Link;
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// The links of a machine, by number.
#[derive(Default)]
pub struct Links {
    outgoing: BTreeMap<Link, Outgoing>,
}

/// One link's way out.
struct Outgoing {
    frames: UnboundedSender<Vec<u8>>,
    queued_bytes: Arc<AtomicUsize>,
}

/// What a socket's task takes frames from.
pub struct Queue {
    frames: UnboundedReceiver<Vec<u8>>,
    queued_bytes: Arc<AtomicUsize>,
}

/// A link to be, made before its machine knows of it.
pub struct Opening(Outgoing);

/// The two ends of a link's way out.
pub fn open() -> (Opening, Queue) {
    let (sender, frames) = unbounded_channel();
    let queued_bytes = Arc::new(AtomicUsize::new(0));
    let outgoing = Outgoing { frames: sender, queued_bytes: queued_bytes.clone() };
    (Opening(outgoing), Queue { frames, queued_bytes })
}

impl Links {
    /// Adds a link.
    pub fn insert(&mut self, link: Link, opening: Opening) {
        self.outgoing.insert(link, opening.0);
    }

    /// Queues a frame. Whether it was; if not, the link is gone: it was closed, or reads too slowly.
    pub fn send(&mut self, link: Link, frame: Vec<u8>) -> bool {
        let Some(outgoing) = self.outgoing.get(&link) else { return false };
        let bytes = frame.len();
        let queued = outgoing.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let sent = queued + bytes <= MOST_QUEUED_BYTES && outgoing.frames.send(frame).is_ok();
        if !sent {
            self.outgoing.remove(&link);
        }
        sent
    }

    /// Closes a link behind what is queued on it.
    pub fn close(&mut self, link: Link) {
        self.outgoing.remove(&link);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.outgoing.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.outgoing.is_empty()
    }
}

/// What is left of a WebSocket message when framing is taken away.
pub enum Piece {
    /// A binary message.
    Frame(Vec<u8>),
    /// Something that asks for nothing: a ping, which is answered below us.
    Nothing,
    /// The other side ends the connection, or sent text.
    End,
}

/// A frame that was read, and the place it holds until the machine has heard it.
pub struct Unheard {
    /// The frame.
    pub bytes: Vec<u8>,
    /// Its place, which is free again once this is dropped.
    pub place: OwnedSemaphorePermit,
}

/// Carries frames between a socket and a machine until either ends. `heard` hands a frame on; whether anybody is there.
pub async fn pump<S, M, E>(
    socket: S,
    mut queue: Queue,
    piece: impl Fn(M) -> Piece,
    frame: impl Fn(Vec<u8>) -> M,
    mut heard: impl FnMut(Unheard) -> bool,
) where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Send,
    M: Send,
    E: Send,
{
    let (mut sink, mut stream) = socket.split();
    let places = Arc::new(Semaphore::new(MOST_UNHEARD));
    let reading = async {
        while let Ok(place) = places.clone().acquire_owned().await {
            let goes_on = match stream.next().await.and_then(Result::ok).map(&piece) {
                Some(Piece::Frame(bytes)) => heard(Unheard { bytes, place }),
                Some(Piece::Nothing) => true,
                Some(Piece::End) | None => false,
            };
            if !goes_on {
                return;
            }
        }
    };
    let writing = async {
        while let Some(bytes) = queue.frames.recv().await {
            let count = bytes.len();
            if sink.feed(frame(bytes)).await.is_err() {
                return;
            }
            queue.queued_bytes.fetch_sub(count, Ordering::Relaxed);
            // Frames that wait together travel together.
            if queue.frames.is_empty() && sink.flush().await.is_err() {
                return;
            }
        }
        drop(sink.close().await);
    };
    pin_mut!(reading, writing);
    // Once the other side is gone, nothing that is queued can reach it.
    futures_util::future::select(reading, writing).await;
}

/// Bytes that may wait for a slow reader.
pub const MOST_QUEUED_BYTES: usize = 8 << 20;
/// Frames of a link that the machine has not heard.
pub const MOST_UNHEARD: usize = 8;
/// What a socket buffers itself, each way.
pub const SOCKET_BUFFER_BYTES: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_is_cut_off_at_its_bound() {
        let mut links = Links::default();
        let (opening, queue) = open();
        links.insert(Link(7), opening);
        let frame = vec![0; 1 << 20];
        assert!((0..8).all(|_| links.send(Link(7), frame.clone())));
        assert!(!links.send(Link(7), vec![0]), "its eight MiB are full");
        assert!(links.is_empty(), "and the link is gone");
        assert_eq!(queue.queued_bytes.load(Ordering::Relaxed), MOST_QUEUED_BYTES + 1);
    }

    #[test]
    fn a_link_that_is_gone_takes_nothing() {
        let mut links = Links::default();
        let (opening, queue) = open();
        links.insert(Link(1), opening);
        assert_eq!(links.len(), 1);
        drop(queue);
        assert!(!links.send(Link(1), vec![1]) && links.is_empty());
        assert!(!links.send(Link(2), vec![1]), "never there");
    }
}
