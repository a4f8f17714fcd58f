//! The Hugging Face hub and the cache it shares with other programs.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use hf_hub::{
    Cache, Repo, RepoType,
    api::{Progress, sync::ApiBuilder},
};
use models::manifest::Manifest;

use super::{
    observer::{Observer, Unit, Work},
    source::{CONFIG, FloatFiles, VOCAB, WEIGHTS},
};

/// How the hub is reached: the variables its own tools read.
#[derive(Clone, Debug)]
pub(super) struct HubSettings {
    /// `HF_HUB_CACHE`, else `HF_HOME/hub`, else the user's cache.
    pub(super) cache: PathBuf,
    /// `HF_ENDPOINT`.
    pub(super) endpoint: Option<String>,
    /// `HF_HUB_OFFLINE`: the hub is not asked.
    pub(super) offline: bool,
    /// `HF_TOKEN`.
    pub(super) token: Option<String>,
}

/// Folders of the cache that may hold the model, the pinned revision first.
pub(super) fn snapshots(cache: &Path, manifest: &Manifest) -> Vec<PathBuf> {
    let repo = cache.join(format!("models--{}", manifest.repo.replace('/', "--")));
    let named = fs::read_to_string(repo.join("refs").join(manifest.revision));
    let commit = named.map_or(manifest.revision.to_owned(), |commit| commit.trim().to_owned());
    let all = fs::read_dir(repo.join("snapshots")).into_iter().flatten().flatten().map(|e| e.path());
    let mut folders: Vec<PathBuf> = all.collect();
    folders.sort_by_key(|f| (f.file_name() != Some(commit.as_ref()), f.clone()));
    folders
}

/// Downloads weights, vocabulary and config into the Hugging Face cache. An interrupted download is resumed.
///
/// Runs on a thread of its own, which is left behind when the hub does not answer: none of what may hang there (name
/// lookup, a silent proxy, a stalled body) has a time limit of its own.
pub(super) fn fetch(
    settings: &HubSettings,
    manifest: &'static Manifest,
    observer: &mut dyn Observer,
) -> Result<FloatFiles, String> {
    if settings.offline {
        return Err("not asked, HF_HUB_OFFLINE is set".into());
    }
    observer.note(&format!("fetching {} from the Hugging Face hub", manifest.repo));
    let (events, received) = mpsc::channel();
    let settings = settings.clone();
    thread::spawn(move || {
        let result = download(&settings, manifest, &events);
        // Nobody listens any more once the caller gave up.
        drop(events.send(Event::End(result)));
    });
    let (mut file, mut done, mut total) = (String::new(), 0, 0);
    let mut patience = FIRST_ANSWER;
    loop {
        match received.recv_timeout(patience) {
            Ok(Event::Start(name, size)) => (file, done, total) = (name, 0, size),
            Ok(Event::Bytes(n)) => done += n,
            Ok(Event::End(result)) => return result,
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("no answer for {} seconds", patience.as_secs()));
            }
            Err(RecvTimeoutError::Disconnected) => return Err("the download failed".into()),
        }
        patience = STALL;
        observer.progress(Work { step: &file, done, total: Some(total), unit: Unit::Bytes });
    }
}

enum Event {
    Start(String, u64),
    Bytes(u64),
    End(Result<FloatFiles, String>),
}

#[derive(Clone)]
struct Report(Sender<Event>);

impl Progress for Report {
    fn init(&mut self, size: usize, filename: &str) {
        drop(self.0.send(Event::Start(filename.to_owned(), size as u64)));
    }

    fn update(&mut self, size: usize) {
        drop(self.0.send(Event::Bytes(size as u64)));
    }

    fn finish(&mut self) {}
}

fn download(
    settings: &HubSettings,
    manifest: &Manifest,
    events: &Sender<Event>,
) -> Result<FloatFiles, String> {
    let cache = Cache::new(settings.cache.clone());
    let token = settings.token.clone().or_else(|| cache.token());
    let mut builder = ApiBuilder::from_cache(cache).with_token(token).with_progress(false);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    let api = builder.build().map_err(|e| e.to_string())?;
    let repo = Repo::with_revision(manifest.repo.to_owned(), RepoType::Model, manifest.revision.to_owned());
    let repo = api.repo(repo);
    let get = |name| {
        let report = Report(events.clone());
        repo.download_with_progress(name, report).map_err(|e| format!("{name}: {e}"))
    };
    // Small files first: a hub that refuses does so before the large one is under way.
    let (vocab, config) = (get(VOCAB)?, get(CONFIG).ok());
    Ok(FloatFiles { weights: get(WEIGHTS)?, vocab, config, published: false })
}

/// Patience with a hub that has not said anything yet, and with one that has stopped.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
const STALL: Duration = Duration::from_secs(60);
