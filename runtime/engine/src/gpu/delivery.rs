//! A value that a callback delivers to a future.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

/// Both ends: the future, and what to call with its value.
pub(super) fn delivery<T>() -> (Sender<T>, Receiver<T>) {
    let state = Arc::new(Mutex::new(State { value: None, waker: None }));
    (Sender(state.clone()), Receiver(state))
}

/// Delivers the value.
pub(super) struct Sender<T>(Arc<Mutex<State<T>>>);

/// Resolves to the value. Pending for ever if the sender goes without delivering.
pub(super) struct Receiver<T>(Arc<Mutex<State<T>>>);

impl<T> Sender<T> {
    pub(super) fn send(self, value: T) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.value = Some(value);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// The value, if it has arrived.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn arrived(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).value.take()
    }
}

impl<T> Future for Receiver<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

struct State<T> {
    value: Option<T>,
    waker: Option<Waker>,
}
