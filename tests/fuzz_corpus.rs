//! Runs what the fuzz targets run, over their corpus and over the inputs that
//! once broke something (`docs/fuzzing.md`).

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the crate of the targets is a library")]
pub mod fuzz;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// The files of a folder, sorted; none if it is not there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a folder to read").path()).collect();
    files.sort();
    files
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

fn run(name: &str) {
    let (_, target) = fuzz::TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    let corpus = files(&folder("corpus").join(name));
    assert!(!corpus.is_empty(), "{name} has no corpus");
    target(b"");
    for input in corpus.into_iter().chain(files(&folder("regressions").join(name))) {
        let data = fs::read(&input).expect("an input to read");
        let outcome = catch_unwind(|| target(&data));
        assert!(outcome.is_ok(), "{}", input.display());
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn nothing_is_forgotten() {
            let tested = [$(stringify!($name)),*];
            let known: Vec<_> = fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(tested[..], known, "tests and targets");
            let stems = |name: &str| -> Vec<_> {
                let files = files(&folder(name));
                files.iter().filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect()
            };
            assert_eq!(stems("fuzz_targets"), known, "programs");
            assert_eq!(stems("corpus"), known, "corpora");
            assert!(stems("regressions").iter().all(|name| known.contains(&name.as_str())));
        }
    };
}

targets! {
    capture coding connection dns encoding engine findings frame hpack http1 http2 jsonrpc keylog
    matcher policy qpack quic raw replay signatures sse tcp tls uri websocket
}
