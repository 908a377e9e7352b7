//! The future of an answer: reads the body of the request, and has it answered.
//!
//! Owns where the work is done: by whoever polls, or, where a write may block, by an executor that wakes the task
//! afterwards. Invariant: every answer comes, also when the executor ends first.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::request::Parts;
use http::{Request, Response};
use parking_lot::Mutex;

use super::{Body, Wire, too_large};
use crate::api::{Reason, StatusError};
use crate::limits::REQUEST_BYTES;

/// Runs work that may block, a bounded number at a time.
pub trait Blocking: Send + Sync {
    /// Runs it, or drops it when nothing runs any more.
    fn run(&self, work: Box<dyn FnOnce() + Send>);
}

/// The response to a request, once its body has been read. Nothing is done before it is polled.
pub struct Answer<B> {
    wire: Wire,
    parts: Option<Parts>,
    body: Pin<Box<B>>,
    /// What has come of the body: mostly one piece, which is not copied.
    first: Bytes,
    rest: Option<BytesMut>,
    /// Where the answer appears that somebody else makes.
    elsewhere: Option<Arc<Mutex<Slot>>>,
}

#[derive(Default)]
struct Slot {
    response: Option<Response<Body>>,
    task: Option<Waker>,
}

/// Puts an answer in its slot; one that was never made too.
struct Promise {
    slot: Arc<Mutex<Slot>>,
    wire: Wire,
    parts: Parts,
}

impl Promise {
    fn keep(&self, response: Response<Body>) {
        let mut slot = self.slot.lock();
        slot.response = Some(response);
        let task = slot.task.take();
        drop(slot);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if Arc::strong_count(&self.slot) > 1 && self.slot.lock().response.is_none() {
            let ending = StatusError::new(Reason::ServiceUnavailable, "the server is ending");
            self.keep(self.wire.refuse(&self.parts, &ending.into()));
        }
    }
}

impl<B: http_body::Body> Answer<B> {
    pub(super) fn new(wire: Wire, request: Request<B>) -> Answer<B> {
        let (parts, body) = request.into_parts();
        Answer {
            wire,
            parts: Some(parts),
            body: Box::pin(body),
            first: Bytes::new(),
            rest: None,
            elsewhere: None,
        }
    }

    /// Reads the whole body; `Err` for one that is too large or breaks off.
    fn poll_body(&mut self, task: &mut Context<'_>) -> Poll<Result<Bytes, StatusError>> {
        while let Some(frame) = ready!(self.body.as_mut().poll_frame(task)) {
            let Ok(frame) = frame else {
                return Poll::Ready(Err(StatusError::bad_request("the body of the request broke off")));
            };
            let Ok(mut data) = frame.into_data() else { continue };
            let length = data.remaining();
            let so_far = self.rest.as_ref().map_or(self.first.len(), BytesMut::len);
            if so_far + length > REQUEST_BYTES {
                return Poll::Ready(Err(too_large()));
            }
            match &mut self.rest {
                Some(rest) => rest.extend_from_slice(&data.copy_to_bytes(length)),
                None if self.first.is_empty() => self.first = data.copy_to_bytes(length),
                None => {
                    let mut rest = BytesMut::from(&self.first[..]);
                    rest.extend_from_slice(&data.copy_to_bytes(length));
                    self.rest = Some(rest);
                }
            }
        }
        let whole = self.rest.take().map_or_else(|| std::mem::take(&mut self.first), BytesMut::freeze);
        Poll::Ready(Ok(whole))
    }

    /// The answer of somebody else, when it is there.
    fn poll_slot(slot: &Mutex<Slot>, task: &Context<'_>) -> Poll<Result<Response<Body>, Infallible>> {
        let mut slot = slot.lock();
        match slot.response.take() {
            Some(response) => Poll::Ready(Ok(response)),
            None => {
                slot.task = Some(task.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<B: http_body::Body> Future for Answer<B> {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(slot) = &self.elsewhere {
            return Answer::<B>::poll_slot(slot, task);
        }
        let body = ready!(self.poll_body(task));
        let Some(parts) = self.parts.take() else { return Poll::Pending };
        let body = match body {
            Ok(body) => body,
            Err(refused) => return Poll::Ready(Ok(self.wire.refuse(&parts, &refused.into()))),
        };
        let Some(blocking) = self.wire.blocking_for(&parts).cloned() else {
            return Poll::Ready(Ok(self.wire.route(&parts, &body)));
        };
        let slot = Arc::new(Mutex::new(Slot { response: None, task: Some(task.waker().clone()) }));
        self.elsewhere = Some(slot.clone());
        let promise = Promise { slot: slot.clone(), wire: self.wire.clone(), parts };
        blocking.run(Box::new(move || promise.keep(promise.wire.route(&promise.parts, &body))));
        Answer::<B>::poll_slot(&slot, task)
    }
}

impl<B> fmt::Debug for Answer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({:?})", self.parts.as_ref().map(|parts| &parts.uri))
    }
}
