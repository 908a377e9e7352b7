//! The store held against a model, over a prompt backend and over an awkward one, under concurrent threads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::*;
use crate::api::kinds;
use crate::world::{Entropy, SeededEntropy};
use k8s_openapi::api::core::v1::ConfigMap;

/// A backend as etcd behaves: it decides at once, gives out its own revisions with gaps (others write keys that
/// the feed never sees), and tells the feed later, from a thread of its own. A foreign writer uses it too.
#[derive(Debug)]
struct Awkward {
    present: Mutex<(u64, BTreeMap<String, u64>)>,
    stream: Mutex<Option<mpsc::Sender<Decided>>>,
}

impl Awkward {
    fn decide(&self, proposal: Proposal, gap: u64) -> Result<Revision, Refused> {
        let mut present = self.present.lock().unwrap();
        let current = present.1.get(proposal.key.as_str()).copied().map(Revision);
        let holds = match proposal.expect {
            Expect::Absent => current.is_none(),
            Expect::At(revision) => current == Some(revision),
        };
        if !holds {
            return Err(Refused::Conflict { key: proposal.key, current });
        }
        present.0 += 1 + gap;
        let revision = present.0;
        match &proposal.put {
            Some(_) => present.1.insert(proposal.key.as_str().to_owned(), revision),
            None => present.1.remove(proposal.key.as_str()),
        };
        let decided = Decided {
            kind: proposal.kind,
            key: proposal.key,
            revision: Revision(revision),
            put: proposal.put.map(|draft| Write::Bytes(draft.body)),
        };
        // Sent under the lock: the stream is in the order of revisions.
        self.stream.lock().unwrap().as_ref().unwrap().send(decided).unwrap();
        Ok(Revision(revision))
    }
}

impl Backend for Awkward {
    fn connect(&self, feed: Arc<dyn Feed>) -> Revision {
        let (sender, stream) = mpsc::channel::<Decided>();
        *self.stream.lock().unwrap() = Some(sender);
        let name = thread::Builder::new().name("awkward".into());
        let pump = name.spawn(move || {
            for (n, decided) in stream.into_iter().enumerate() {
                if n % 16 == 0 {
                    thread::yield_now();
                }
                drop(feed.apply(decided));
            }
        });
        drop(pump.unwrap());
        Revision(self.present.lock().unwrap().0)
    }

    fn propose(&self, proposal: Proposal) -> Result<Revision, Refused> {
        let gap = proposal.key.as_str().len() as u64 % 3;
        self.decide(proposal, gap)
    }
}

struct Facts2;

impl ReadFacts for Facts2 {
    fn read_facts(&self, _kind: KindId, body: &Bytes) -> Result<Facts, String> {
        let map: ConfigMap = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        Ok(facts(&map))
    }
}

fn facts(map: &ConfigMap) -> Facts {
    let labels = map.metadata.labels.clone().unwrap_or_default();
    Facts {
        uid: Arc::from(map.metadata.uid.clone().unwrap_or_default()),
        terms: labels.get("color").map(|color| ("label:color", color)).into_iter().collect(),
        labels: labels.iter().collect(),
        ..Facts::default()
    }
}

fn draft(key: &ObjectKey, value: u64, color: &str) -> Draft {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(key.name().to_owned());
    map.metadata.namespace = Some(key.namespace().to_owned());
    map.metadata.labels = Some([("color".to_owned(), color.to_owned())].into());
    map.data = Some([("value".to_owned(), value.to_string())].into());
    let json = serde_json::to_string(&map).unwrap();
    let body = Bytes::from(json.replacen(r#""apiVersion":"v1","kind":"ConfigMap","#, "", 1));
    Draft { body, facts: facts(&map), view: Some(Box::new(map)) }
}

#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What a follower told: revision, key, value (none for a deletion).
type History = Vec<(u64, String, Option<u64>)>;

fn value(record: &Record) -> u64 {
    record.decode::<ConfigMap>().data.unwrap()["value"].parse().unwrap()
}

fn drain(follower: &mut Follower, into: &mut History) {
    let mut changes = Vec::new();
    while follower.read(&mut changes).unwrap() {}
    for change in changes {
        let value = (!change.deleted).then(|| value(&change.new));
        into.push((change.revision.0, change.new.header.key.to_string(), value));
    }
}

/// The state that a history leads to at a revision.
fn state_at(history: &History, revision: u64) -> BTreeMap<String, u64> {
    let mut state = BTreeMap::new();
    for (at, key, value) in history.iter().filter(|(at, ..)| *at <= revision) {
        assert!(*at <= revision);
        match value {
            Some(value) => state.insert(key.clone(), *value),
            None => state.remove(key),
        };
    }
    state
}

fn picture(snapshot: &Snapshot, kind: KindId) -> BTreeMap<String, u64> {
    let records = snapshot.list_records(kind, Select::All);
    records.map(|record| (record.header.key.to_string(), value(record))).collect()
}

/// Writers at random, followers and readers meanwhile; then everything is held against everything.
fn check(backend: Arc<dyn Backend>, foreign: Option<&Awkward>, seed: u64) {
    let registry = Arc::new(kinds::builtin());
    let kind = registry.id_of::<ConfigMap>().unwrap();
    let store = Store::open(backend, registry, Arc::new(Facts2), &World::real());
    let writing = AtomicU64::new(3 + u64::from(foreign.is_some()));
    let committed = Mutex::new(BTreeMap::new());
    let pictures = Mutex::new(Vec::new());
    let histories = Mutex::new(Vec::new());
    let begin = store.revision();
    let interest = |within| vec![Interest { kind, within }];
    let red = || Within::Term("label:color", "red".to_owned());
    thread::scope(|scope| {
        for within in [Within::All, Within::All, Within::Namespace("b".into()), red()] {
            let (store, writing, histories) = (&store, &writing, &histories);
            let bell = Arc::new(Bell::default());
            let mut follower = store.follow(interest(within.clone()), begin, bell.clone()).unwrap();
            scope.spawn(move || {
                let mut history = History::new();
                loop {
                    let last = writing.load(Ordering::Acquire) == 0;
                    if bell.0.swap(false, Ordering::AcqRel) || last {
                        drain(&mut follower, &mut history);
                    }
                    if last {
                        break;
                    }
                    thread::yield_now();
                }
                // The feed may lag behind the last writer.
                for _ in 0..100 {
                    thread::park_timeout(Duration::from_millis(1));
                    drain(&mut follower, &mut history);
                }
                histories.lock().unwrap().push((within, history));
            });
        }
        for thread in 0..3u64 {
            let (store, writing, committed, pictures) = (&store, &writing, &committed, &pictures);
            scope.spawn(move || {
                let chance = SeededEntropy::from_seed(seed * 31 + thread);
                for step in 0..400u64 {
                    let n = chance.next();
                    let key = ObjectKey::new(["a", "b"][(n % 2) as usize], &format!("k{}", n / 2 % 12));
                    let color = ["red", "blue"][(n / 64 % 2) as usize];
                    let current = store.get(kind, key.as_str());
                    let number = thread * 1000 + step;
                    let (expect, put) = match &current {
                        None => (Expect::Absent, Some(draft(&key, number, color))),
                        Some(record) if n.is_multiple_of(5) => (Expect::At(record.header.revision), None),
                        Some(record) => {
                            (Expect::At(record.header.revision), Some(draft(&key, number, color)))
                        }
                    };
                    let deleted = put.is_none();
                    match store.commit(Proposal { kind, key: key.clone(), expect, put }) {
                        Ok(record) => {
                            let revision = record.header.revision;
                            assert!(store.revision() >= revision, "own write is not read");
                            let told = (key.to_string(), (!deleted).then_some(number));
                            let before = committed.lock().unwrap().insert(revision.0, told);
                            assert_eq!(before, None, "a revision was given twice");
                        }
                        Err(Refused::Conflict { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                    if step % 37 == 0 {
                        let snapshot = store.snapshot();
                        snapshot.check().unwrap();
                        pictures.lock().unwrap().push((snapshot.revision().0, picture(&snapshot, kind)));
                    }
                }
                writing.fetch_sub(1, Ordering::AcqRel);
            });
        }
        if let Some(backend) = foreign {
            let (writing, committed) = (&writing, &committed);
            scope.spawn(move || {
                for n in 0..200u64 {
                    let key = ObjectKey::new("b", &format!("foreign{n}"));
                    let put = Some(draft(&key, 9000 + n, "red"));
                    let proposal = Proposal { kind, key: key.clone(), expect: Expect::Absent, put };
                    let revision = backend.decide(proposal, n % 2).unwrap();
                    committed.lock().unwrap().insert(revision.0, (key.to_string(), Some(9000 + n)));
                }
                writing.fetch_sub(1, Ordering::AcqRel);
            });
        }
    });
    store.check().unwrap();
    let committed: History =
        committed.into_inner().unwrap().into_iter().map(|(at, (key, value))| (at, key, value)).collect();
    for (within, history) in histories.into_inner().unwrap() {
        assert!(history.windows(2).all(|pair| pair[0].0 < pair[1].0), "a follower saw disorder");
        match within {
            Within::All => assert_eq!(history, committed, "a follower saw something else than was committed"),
            Within::Namespace(namespace) => {
                let prefix = format!("{namespace}/");
                let mine = committed.iter().filter(|(_, key, _)| key.starts_with(&prefix)).cloned();
                assert_eq!(history, mine.collect::<Vec<_>>());
            }
            _ => {
                let seen: BTreeSet<u64> = history.iter().map(|(at, ..)| *at).collect();
                let since = |each: &Arc<Change>| {
                    let is = |record: &Record| record.header.has_term("label:color", "red");
                    is(&each.new) || each.old.as_ref().is_some_and(|old| is(old))
                };
                let mut wanted = BTreeSet::new();
                store
                    .since(begin, |change| {
                        wanted.extend(since(change).then_some(change.revision.0));
                    })
                    .unwrap();
                assert_eq!(seen, wanted);
            }
        }
    }
    for (revision, picture) in pictures.into_inner().unwrap() {
        assert_eq!(picture, state_at(&committed, revision), "a snapshot is no prefix of the log");
    }
    let last = store.snapshot();
    assert_eq!(picture(&last, kind), state_at(&committed, last.revision().0));
    // The index answers what a scan answers.
    let scan: Vec<_> = last
        .list_records(kind, Select::All)
        .filter(|record| record.header.has_term("label:color", "red"))
        .map(|record| record.header.key.clone())
        .collect();
    let index: Vec<_> = last
        .list_records(kind, Select::Term("label:color", "red"))
        .map(|record| record.header.key.clone())
        .collect();
    assert_eq!(scan, index);
}

#[test]
fn memory_keeps_the_contract() {
    for seed in 0..6 {
        check(Arc::new(Memory::new()), None, seed);
    }
}

#[test]
fn an_awkward_backend_keeps_the_contract() {
    for seed in 0..3 {
        let backend =
            Arc::new(Awkward { present: Mutex::new((100, BTreeMap::new())), stream: Mutex::new(None) });
        check(backend.clone(), Some(&backend), seed);
    }
}

#[test]
fn a_follower_that_falls_off_the_log_is_told() {
    let registry = Arc::new(kinds::builtin());
    let kind = registry.id_of::<ConfigMap>().unwrap();
    let store = Store::open(Arc::new(Memory::new()), registry, Arc::new(Facts2), &World::real());
    let begin = store.revision();
    let all = || vec![Interest::all(kind)];
    let elsewhere = vec![Interest { kind, within: Within::Namespace("quiet".into()) }];
    let mut slow = store.follow(all(), begin, Arc::new(Bell::default())).unwrap();
    let mut quiet = store.follow(elsewhere, begin, Arc::new(Bell::default())).unwrap();
    let key = ObjectKey::new("a", "big");
    let mut expect = Expect::Absent;
    while store.forgotten() <= begin {
        let mut put = draft(&key, 1, "red");
        put.body = Bytes::from(format!("{{\"data\":{{\"value\":\"1\",\"x\":\"{}\"}}}}", "x".repeat(100_000)));
        put.view = None;
        let record = store.commit(Proposal { kind, key: key.clone(), expect, put: Some(put) }).unwrap();
        expect = Expect::At(record.header.revision);
    }
    assert_eq!(slow.read(&mut Vec::new()), Err(Gone));
    assert_eq!(quiet.read(&mut Vec::new()), Ok(false), "nothing that it wants was lost");
    assert_eq!(store.follow(all(), begin, Arc::new(Bell::default())).unwrap_err(), Gone);
}
