//! Headless Chromium, driven over WebDriver: Debian's packages chromium and chromium-driver.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use base64::prelude::*;
use serde_json::{Value, json};

use crate::controlplane::free_port;
use crate::process::{Spec, Supervised};
use crate::sim::unreachable;
use crate::tools::on_path;
use crate::wait::eventually;
use crate::{Error, Result, RunDir, files};

/// The programs, and the Debian packages that they are in.
const PROGRAMS: [(&str, &str); 2] = [("chromium", "chromium"), ("chromedriver", "chromium-driver")];
/// How long the browser's start may take on a busy machine.
const START: Duration = Duration::from_secs(120);
/// How an element is named in WebDriver's answers (W3C WebDriver, §12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Nothing that calls home, no shared memory of a size that containers don't have.
const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--hide-scrollbars",
    // It ends with the driver, however that one ends.
    "--remote-debugging-pipe",
];

/// The two programs.
#[derive(Debug, Clone)]
pub struct Programs {
    chromium: PathBuf,
    driver: PathBuf,
}

impl Programs {
    /// Where they are; `None` if one isn't on the PATH.
    pub fn find() -> Option<Self> {
        let [chromium, driver] = PROGRAMS.map(|(program, _)| on_path(program));
        Some(Programs { chromium: chromium?, driver: driver? })
    }

    /// As [`Programs::find`]; installs them where that can be done: as root, with apt-get.
    ///
    /// # Errors
    /// [`Error::MissingTool`] with what to install, if they can't be had.
    pub fn find_or_install() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        let packages = PROGRAMS.map(|(_, package)| package);
        let missing =
            |why: &str| Error::MissingTool(format!("the browser's packages {}: {why}", packages.join(" and ")));
        if on_path("apt-get").is_none() || !rustix::process::geteuid().is_root() {
            return Err(missing("not installed; the test of the page is skipped without them"));
        }
        files::say(&format!("installing {} with apt-get, once", packages.join(" and ")));
        let install = [&["install", "-y", "--no-install-recommends"][..], &packages[..]].concat();
        for arguments in [vec!["update"], install] {
            let mut command = Command::new("apt-get");
            command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
            crate::build::run(&mut command, "the browser's packages")?;
        }
        Self::find().ok_or_else(|| missing("installed, and not on the PATH"))
    }

    /// For a test: the programs, or `None` where it may be skipped, which is said. In continuous integration it may not.
    ///
    /// # Errors
    /// [`Error::MissingTool`] without them where `CI` is `true`.
    pub fn for_test() -> Result<Option<Self>> {
        match Self::find() {
            Some(found) => Ok(Some(found)),
            None if std::env::var("CI").is_ok_and(|value| value == "true") => Self::find_or_install().map(Some),
            None => {
                let [chromium, driver] = PROGRAMS.map(|(_, package)| package);
                files::say(&format!("SKIPPED: the page in a browser; it needs Debian's {chromium} and {driver}"));
                Ok(None)
            }
        }
    }
}

/// A browser with one empty tab and nobody's profile. Dropping it ends it.
pub struct Browser {
    _driver: Supervised,
    http: reqwest::Client,
    session: String,
}

impl Browser {
    /// Starts it.
    ///
    /// # Errors
    /// If it doesn't start.
    pub async fn start(programs: &Programs, dir: &RunDir) -> Result<Self> {
        let port = free_port()?;
        let profile = dir.path().join("chromium");
        files::create_dir_all(&profile)?;
        let spec = Spec::new("chromedriver", &programs.driver)
            .arg(format!("--port={port}"))
            // It would log what is typed.
            .arg("--log-level=SEVERE")
            .env("HOME", &profile);
        let mut driver = Supervised::start(&spec, dir)?;
        let http = reqwest::Client::builder().no_proxy().timeout(START).build();
        let http = http.map_err(|error| Error::Invalid(format!("cannot make an HTTP client: {error}")))?;
        let base = format!("http://127.0.0.1:{port}");
        eventually("chromedriver", START, async || {
            if let Some(status) = driver.ended()? {
                return Err(driver.failure(format!("ended with {status}")));
            }
            Ok(http.get(format!("{base}/status")).send().await.is_ok().then_some(()))
        })
        .await?;
        let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let options = json!({"binary": programs.chromium, "args": arguments});
        let wanted = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}});
        let mut this = Browser { _driver: driver, http, session: format!("{base}/session") };
        let answer = this.call("", wanted).await?;
        let id = answer["sessionId"].as_str().ok_or_else(|| Error::Invalid(format!("no session: {answer}")))?;
        this.session = format!("{base}/session/{id}");
        Ok(this)
    }

    /// Opens a page.
    ///
    /// # Errors
    /// If it can't be loaded.
    pub async fn open(&self, url: &str) -> Result<()> {
        self.call("/url", json!({"url": url})).await.map(drop)
    }

    /// Runs a function's body in the page and gives what it returns.
    ///
    /// # Errors
    /// If it throws.
    pub async fn run(&self, body: &str, arguments: &[Value]) -> Result<Value> {
        self.call("/execute/sync", json!({"script": body, "args": arguments})).await
    }

    /// Types into the element that a CSS selector names, as a person would.
    ///
    /// # Errors
    /// If there is none, or it takes no text.
    pub async fn type_into(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.element(selector).await?;
        self.call(&format!("/element/{element}/value"), json!({"text": text})).await.map(drop)
    }

    /// Clicks on the element that a CSS selector names.
    ///
    /// # Errors
    /// If there is none, or something covers it.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let element = self.element(selector).await?;
        self.call(&format!("/element/{element}/click"), json!({})).await.map(drop)
    }

    /// Waits until an expression is true in the page; on a timeout tells the text that is shown.
    ///
    /// # Errors
    /// [`Error::TimedOut`].
    pub async fn wait(&self, expression: &str, within: Duration) -> Result<()> {
        let body = format!("return Boolean({expression})");
        let asked = async || Ok((self.run(&body, &[]).await? == true).then_some(()));
        let waited = eventually(expression, within, asked).await;
        let Err(Error::TimedOut(words)) = waited else { return waited };
        let shown = self.run("return document.body.innerText", &[]).await?;
        Err(Error::TimedOut(format!("{words}; the page shows:\n{}", shown.as_str().unwrap_or_default())))
    }

    /// Sets the page's width and height in pixels, and whether it is dark.
    ///
    /// # Errors
    /// If the browser refuses.
    pub async fn look(&self, width: u32, height: u32, dark: bool) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await?;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// A picture of what is in view, as PNG.
    ///
    /// # Errors
    /// If the browser refuses.
    pub async fn picture(&self) -> Result<Vec<u8>> {
        let answer = self.devtools("Page.captureScreenshot", json!({"format": "png"})).await?;
        let data = answer["data"].as_str().unwrap_or_default();
        BASE64_STANDARD.decode(data).map_err(|error| Error::Invalid(format!("no picture: {error}")))
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        self.call("/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    async fn element(&self, selector: &str) -> Result<String> {
        let found = self.call("/element", json!({"using": "css selector", "value": selector})).await?;
        let id = found[ELEMENT].as_str().map(str::to_owned);
        id.ok_or_else(|| Error::Invalid(format!("no element {selector}: {found}")))
    }

    async fn call(&self, path: &str, body: Value) -> Result<Value> {
        let answer = self.http.post(format!("{}{path}", self.session)).json(&body).send().await;
        let answer = answer.map_err(|error| unreachable("chromedriver", &error))?;
        let failed = !answer.status().is_success();
        let body: Value = answer.json().await.map_err(|error| unreachable("chromedriver", &error))?;
        if failed {
            let words = body["value"]["message"].as_str().unwrap_or_default();
            return Err(Error::Invalid(format!("the browser refuses {path}: {words}")));
        }
        Ok(body["value"].clone())
    }
}
