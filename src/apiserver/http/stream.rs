//! The stream of a watch: one JSON event a line, bookmarks between, and an end.
//!
//! Owns what is sent and when the stream ends; what happens to which object is told by the door's watch. It is
//! polled by the task that reads it and woken by the writer or by an alarm, so an idle stream costs nothing.
//!
//! Invariant: a bookmark's revision is one up to which every matching event has been sent.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use serde_json::{Value, json};

use super::content::Form;
use super::objects::{self, Part, Shown};
use super::{Alarm, Alarms, status, table};
use crate::api::{StatusError, Strategy};
use crate::apiserver::{Server, Watch, WatchError, WatchEvent};
use crate::limits::{BOOKMARK_EVERY, WATCH_PIECE_BYTES};
use crate::store::{Record, Revision};
use crate::world::Moment;

/// The annotation of the bookmark that ends the state that a watch began with.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// How a stream is told.
pub(super) struct Telling {
    pub form: Form,
    pub include: table::Include,
    pub bookmarks: bool,
    /// When it ends.
    pub until: Moment,
}

/// A watch as a stream of lines.
pub(super) struct EventStream {
    server: Arc<Server>,
    strategy: Arc<dyn Strategy>,
    version: usize,
    alarms: Arc<dyn Alarms>,
    telling: Telling,
    state: State,
    /// When the next bookmark is due.
    bookmark_at: Moment,
    /// The newest revision that was told.
    told: Revision,
    alarm: Option<(Moment, Alarm)>,
    /// A table has been sent, with its columns.
    columns_told: bool,
}

enum State {
    Open(Box<Watch>),
    /// Nothing comes but this.
    Failed(StatusError),
    Ended,
}

impl EventStream {
    /// A stream of what a watch tells.
    pub fn new(
        server: Arc<Server>,
        (strategy, version): (Arc<dyn Strategy>, usize),
        alarms: Arc<dyn Alarms>,
        watch: Watch,
        telling: Telling,
    ) -> EventStream {
        EventStream::with(server, (strategy, version), alarms, State::Open(Box::new(watch)), telling)
    }

    /// A stream that only tells why there is none: upstream answers a watch that cannot begin where it is asked to
    /// with an event.
    pub fn failed(
        server: Arc<Server>,
        (strategy, version): (Arc<dyn Strategy>, usize),
        alarms: Arc<dyn Alarms>,
        why: StatusError,
        telling: Telling,
    ) -> EventStream {
        EventStream::with(server, (strategy, version), alarms, State::Failed(why), telling)
    }

    fn with(
        server: Arc<Server>,
        (strategy, version): (Arc<dyn Strategy>, usize),
        alarms: Arc<dyn Alarms>,
        state: State,
        telling: Telling,
    ) -> EventStream {
        let bookmark_at = server.world().clock.moment().after(BOOKMARK_EVERY);
        EventStream {
            server,
            strategy,
            version,
            alarms,
            telling,
            state,
            bookmark_at,
            told: Revision(0),
            alarm: None,
            columns_told: false,
        }
    }

    /// The next lines; `None` at the end.
    pub fn poll_piece(&mut self, task: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut out = Vec::new();
        loop {
            let now = self.server.world().clock.moment();
            let over = now >= self.telling.until || self.alarms.is_closed();
            if over && !matches!(self.state, State::Failed(_)) {
                self.end();
            }
            // Read before looking for events: what is found nothing of afterwards has been told whole.
            let announced = self.server.store().announced();
            let polled = match &mut self.state {
                State::Ended => {
                    return Poll::Ready((!out.is_empty()).then(|| Bytes::from(out)));
                }
                State::Failed(why) => {
                    let event = status::of_error(why, None);
                    write_event(&mut out, "ERROR", event.to_string().as_bytes());
                    self.end();
                    continue;
                }
                State::Open(watch) => watch.poll_next(task),
            };
            match polled {
                Poll::Ready(Ok(event)) => {
                    self.tell(&mut out, &event);
                    if out.len() >= WATCH_PIECE_BYTES {
                        return Poll::Ready(Some(Bytes::from(out)));
                    }
                }
                Poll::Ready(Err(WatchError::Gone)) => {
                    let (at, oldest) = (self.told, self.server.store().forgotten());
                    let message = format!("too old resource version: {at} ({oldest})");
                    self.state = State::Failed(StatusError::expired(message));
                }
                Poll::Pending if self.telling.bookmarks && now >= self.bookmark_at => {
                    self.bookmark_at = now.after(BOOKMARK_EVERY);
                    self.bookmark(&mut out, announced.max(self.told), false);
                }
                Poll::Pending if !out.is_empty() => return Poll::Ready(Some(Bytes::from(out))),
                Poll::Pending => {
                    self.set_alarm(task);
                    // The clock may have moved on while the alarm was set; one that lies behind rings at once.
                    return Poll::Pending;
                }
            }
        }
    }

    fn end(&mut self) {
        self.state = State::Ended;
        self.alarm = None;
    }

    fn set_alarm(&mut self, task: &Context<'_>) {
        let at = match self.telling.bookmarks {
            true => self.bookmark_at.min(self.telling.until),
            false => self.telling.until,
        };
        let set = self.alarm.as_ref().is_some_and(|(when, alarm)| *when == at && alarm.wakes(task.waker()));
        if !set {
            self.alarm = None;
            self.alarm = Some((at, self.alarms.set(at, task.waker().clone())));
        }
    }

    fn tell(&mut self, out: &mut Vec<u8>, event: &WatchEvent) {
        let (word, record) = match event {
            WatchEvent::Added(record) => ("ADDED", record),
            WatchEvent::Modified(record) => ("MODIFIED", record),
            WatchEvent::Deleted(record) => ("DELETED", record),
            WatchEvent::Synced(revision) => {
                self.told = self.told.max(*revision);
                if self.telling.bookmarks {
                    self.bookmark(out, *revision, true);
                }
                return;
            }
        };
        self.told = self.told.max(record.header.revision);
        let start = out.len();
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(word.as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        if let Err(why) = self.write_object(out, record) {
            out.truncate(start);
            self.state = State::Failed(why);
            return;
        }
        out.extend_from_slice(b"}\n");
    }

    fn write_object(&mut self, out: &mut Vec<u8>, record: &Record) -> Result<(), StatusError> {
        let shown = Shown { strategy: &*self.strategy, version: self.version };
        match &self.telling.form {
            Form::Table(version) => {
                let head = table::Head {
                    version,
                    revision: record.header.revision.as_text(),
                    later: self.columns_told,
                    ..Default::default()
                };
                self.columns_told = true;
                let (one, include) = (std::iter::once(record), self.telling.include);
                table::write(out, &self.server, shown, &head, one, include)
            }
            Form::Partial(version) | Form::PartialList(version) => {
                objects::write(out, &self.server, shown, record, Part::Metadata(version))
            }
            _ => objects::write(out, &self.server, shown, record, Part::Whole),
        }
    }

    fn bookmark(&mut self, out: &mut Vec<u8>, revision: Revision, initial_end: bool) {
        self.told = self.told.max(revision);
        let info = Shown { strategy: &*self.strategy, version: self.version }.info().clone();
        let mut meta = json!({ "resourceVersion": revision.to_string() });
        if initial_end {
            meta["annotations"] = json!({ INITIAL_EVENTS_END: "true" });
        }
        let object = |kind: &str, api_version: &str, meta: Value| json!({ "kind": kind, "apiVersion": api_version, "metadata": meta });
        let value = match &self.telling.form {
            Form::Table(version) => {
                let version = format!("meta.k8s.io/{version}");
                json!({
                    "kind": "Table", "apiVersion": version,
                    "metadata": { "resourceVersion": revision.to_string() }, "columnDefinitions": null,
                    "rows": [{ "cells": [], "object": object("PartialObjectMetadata", &version, meta) }],
                })
            }
            Form::Partial(version) | Form::PartialList(version) => {
                object("PartialObjectMetadata", &format!("meta.k8s.io/{version}"), meta)
            }
            _ => object(&info.kind, &info.api_version, meta),
        };
        write_event(out, "BOOKMARK", value.to_string().as_bytes());
    }
}

fn write_event(out: &mut Vec<u8>, word: &str, object: &[u8]) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
}
