//! Each fuzz target on its corpus and on some mutations of it: always the same ones, so that a failure comes again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// Executions of each target: its corpus, then mutations.
const RUNS: usize = 1_500;

#[test]
fn what_others_write_is_read_as_promised() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let programs = build(&folder);
    let targets = std::fs::read_dir(folder.join("fuzz_targets")).unwrap().count();
    assert_eq!(programs.len(), targets, "a program for each target: {programs:?}");
    let waiting = Mutex::new(programs.iter());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(program) = { waiting.lock().unwrap().next() } {
                    run(&folder, program);
                }
            });
        }
    });
    azureml_promises::held("fuzz::what_others_write_is_read_as_promised", RUNS * targets);
}

/// The programs of all targets. They are compiled apart from the rest, with coverage counters.
fn build(folder: &Path) -> Vec<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--bins", "--message-format", "json-render-diagnostics"])
        .current_dir(folder)
        // Flags of the environment would take the place of those in .cargo/config.toml.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be run");
    assert!(
        output.status.success(),
        "the fuzz targets can't be built; they need a C++ compiler beside the C compiler: see the output above"
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect()
}

fn run(folder: &Path, program: &Path) {
    let target = program.file_name().unwrap().to_string_lossy().into_owned();
    // libFuzzer writes what it finds interesting into the first folder.
    let scratch = std::env::temp_dir().join(format!("azureml-fuzz-{}-{target}", std::process::id()));
    std::fs::create_dir_all(&scratch).unwrap();
    let artifacts = folder.join("target/artifacts").join(&target);
    std::fs::create_dir_all(&artifacts).unwrap();
    let mut command = Command::new(program);
    command
        .arg(format!("-runs={RUNS}"))
        .args(["-seed=1", "-max_len=4096", "-timeout=60", "-rss_limit_mb=2048"])
        .arg(format!("-artifact_prefix={}/", artifacts.display()));
    let dictionary = folder.join("dictionaries").join(&target);
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    let output =
        command.arg(&scratch).arg(folder.join("corpus").join(&target)).output().expect("the target can be run");
    std::fs::remove_dir_all(&scratch).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\nfuzz target {target}: {}. Mend it, and keep the input that is named above in tests/fuzz/corpus/{target}. \
         Again: (cd tests/fuzz && cargo run --bin {target} INPUT)",
        told.chars().skip(told.chars().count().saturating_sub(6_000)).collect::<String>(),
        output.status
    );
    assert!(told.contains("Loaded 1 modules"), "{target} was built without coverage counters:\n{told}");
    let done = told.lines().find_map(|line| line.strip_prefix("Done ")?.split(' ').next()?.parse::<usize>().ok());
    assert!(done >= Some(RUNS), "{target} ended after {done:?} executions:\n{told}");
}
