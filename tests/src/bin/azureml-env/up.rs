//! `up`, `down`, and the background process between them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use azureml_tests::{EnvOptions, Environment, Error, Result, SimOptions};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::local::{Files, Running};
use crate::{Settings, interrupt};

/// How long `down` waits for the background process before it kills it.
const DOWN_WITHIN: Duration = Duration::from_secs(30);

/// Whether `up` found the environment or made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It ran already.
    Running,
    /// It was started now.
    Started,
}

/// Starts the background process unless it runs, and waits until the environment is ready. Shows its progress on stderr.
pub(crate) fn up(settings: &Settings) -> Result<Found> {
    let files = Files::new()?;
    let mut found = Found::Running;
    let mut child = None;
    if let Some(lock) = files.lock()? {
        files.clear()?;
        drop(lock);
        child = Some(spawn(settings, &files)?);
        found = Found::Started;
    }
    let mut progress = Progress::new(&files)?;
    loop {
        if child.is_some() {
            progress.show();
            interrupt::check().or_else(|interrupted| down().and(Err(interrupted)))?;
        }
        let lives = files.lock()?.is_none();
        if lives && files.running().is_some() {
            return Ok(found);
        }
        let ended = child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
        if !lives && (ended || child.is_none()) {
            progress.show();
            return Err(Error::Invalid(format!("the environment was not started; see {}", files.log().display())));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The lines that lead a shell to the running environment.
pub(crate) fn exports() -> Result<String> {
    Ok(running()?.exports())
}

/// The running environment.
pub(crate) fn running() -> Result<Running> {
    let files = Files::new()?;
    files.running().ok_or_else(|| Error::Invalid("no environment runs; `make up` starts one".into()))
}

fn spawn(settings: &Settings, files: &Files) -> Result<Child> {
    let failed = |action: &str| {
        let action = action.to_string();
        move |source| Error::Io { action, source }
    };
    let log = File::create(files.log()).map_err(failed("create .local/up.log"))?;
    let err = log.try_clone().map_err(failed("open .local/up.log"))?;
    let mut command = Command::new(std::env::current_exe().map_err(failed("find this program"))?);
    command.args(["serve", "--time-scale", &settings.time_scale.to_string()]);
    if let Some(world) = &settings.world {
        let world = std::path::absolute(world).map_err(failed("find the world file"))?;
        command.arg("--world").arg(world);
    }
    // Its own group: it stays when the terminal's Ctrl-C ends what runs in front.
    command.stdin(Stdio::null()).stdout(log).stderr(err).process_group(0);
    command.spawn().map_err(failed("start the background process"))
}

/// The background process's output, as it comes.
struct Progress(File);

impl Progress {
    fn new(files: &Files) -> Result<Self> {
        let opened = File::options().create(true).append(true).read(true).open(files.log());
        let mut log = opened.map_err(|source| Error::Io { action: "open .local/up.log".into(), source })?;
        log.seek(SeekFrom::Start(0)).map_err(|source| Error::Io { action: "read .local/up.log".into(), source })?;
        Ok(Progress(log))
    }

    fn show(&mut self) {
        let mut text = Vec::new();
        // Only progress: what can't be read now is in the file.
        let _ = self.0.read_to_end(&mut text);
        eprint!("{}", String::from_utf8_lossy(&text));
    }
}

/// The background process: holds the environment until SIGTERM or SIGINT.
pub(crate) fn serve(settings: &Settings) -> Result<()> {
    let files = Files::new()?;
    let Some(_lock) = files.lock()? else { return Err(Error::Invalid("an environment runs already".into())) };
    files.write_pid()?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|source| Error::Io { action: "start the async runtime".into(), source })?;
    let result = runtime.block_on(hold(settings, &files));
    files.clear()?;
    result
}

async fn hold(settings: &Settings, files: &Files) -> Result<()> {
    let catch = |kind| signal(kind).map_err(|source| Error::Io { action: "catch signals".into(), source });
    let (mut terminate, mut interrupt) = (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
    let asked_to_end = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let work = async {
        let started = Instant::now();
        let mut sim = SimOptions { time_scale: settings.time_scale, ..SimOptions::default() };
        if let Some(world) = &settings.world {
            sim.world.clone_from(world);
        }
        eprintln!("starting etcd, kube-apiserver, kube-controller-manager, azure-sim and azureml-operator");
        let mut environment = Environment::start(EnvOptions { sim, ..EnvOptions::default() }).await?;
        files.write_running(&Running::of(&mut environment)?)?;
        eprintln!(
            "ready after {:.1} s; logs in {}",
            started.elapsed().as_secs_f32(),
            environment.plane.dir().path().display()
        );
        std::future::pending::<()>().await;
        Ok(())
    };
    tokio::select! {
        () = asked_to_end => Ok(()),
        result = work => result,
    }
}

/// Ends the background process and all that it started. Does nothing if none runs.
pub(crate) fn down() -> Result<()> {
    let files = Files::new()?;
    let started = Instant::now();
    let mut asked = None;
    loop {
        if files.lock()?.is_some() {
            eprintln!("{}", if asked.is_some() { "the environment is ended" } else { "no environment runs" });
            return files.clear();
        }
        // While the lock is held the number is that of its holder, so it can't be anyone else's.
        let pid = files.pid().and_then(Pid::from_raw);
        let wanted = if started.elapsed() < DOWN_WITHIN { Signal::TERM } else { Signal::KILL };
        if let Some(pid) = pid.filter(|_| asked != Some(wanted)) {
            // It may have ended since; then the lock is free in the next round.
            let _ = kill_process(pid, wanted);
            asked = Some(wanted);
        }
        if started.elapsed() > 2 * DOWN_WITHIN {
            return Err(Error::TimedOut(format!("the environment (process {pid:?}) does not end")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
