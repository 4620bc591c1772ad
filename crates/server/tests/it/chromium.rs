//! The dashboard in a real browser: Debian's Chromium, headless, with a person's mouse and keyboard. What is on a page is read
//! as a person reads it, and waited for as long as a person would.
//!
//! Where Chromium is not installed these tests say nothing; with `KEYWRIGHT_CI=1` they fail instead.

mod keyboard;
mod keys;
mod operators;
mod pages;
mod people;
mod strangers;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chromiumoxide::browser::{Browser, BrowserConfig};
use chromiumoxide::cdp::browser_protocol::browser::{PermissionDescriptor, PermissionSetting, SetPermissionParams};
use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetDeviceMetricsOverrideParams, SetEmulatedMediaParams, SetScriptExecutionDisabledParams,
};
use chromiumoxide::cdp::browser_protocol::input::{DispatchKeyEventParams, DispatchKeyEventType, InsertTextParams};
use chromiumoxide::cdp::browser_protocol::log::{EventEntryAdded, LogEntryLevel};
use chromiumoxide::cdp::js_protocol::runtime::{EvaluateParams, EventExceptionThrown};
use chromiumoxide::layout::Point;
use chromiumoxide::page::{Page, ScreenshotParams};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::harness::{PASSWORD, TestServer};

/// How long a person waits for something.
const PATIENCE: Duration = Duration::from_secs(20);
/// And how often they look in that time.
const LOOKS: u32 = 1_000;

/// A browser, gone with the test.
pub(crate) struct Chromium {
    browser: Browser,
    driver: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Chromium {
    /// Starts one, with a profile of its own; it knows no host but this machine.
    pub(crate) async fn start() -> Option<Self> {
        let program = Path::new("/usr/bin/chromium");
        let ci = std::env::var("KEYWRIGHT_CI").is_ok_and(|value| value == "1");
        assert!(program.exists() || !ci, "chromium must be installed in CI");
        if !program.exists() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let config = BrowserConfig::builder()
            .chrome_executable(program)
            .user_data_dir(folder.path())
            // The machine that runs this is a container's, where Chromium has no sandbox to make.
            .no_sandbox()
            .new_headless_mode()
            .viewport(None)
            .window_size(1_280, 900)
            .request_timeout(PATIENCE)
            .surface_invalid_messages()
            .args([
                "disable-gpu",
                "disable-component-update",
                "host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
            ])
            .build()
            .unwrap();
        let (browser, mut handler) = Browser::launch(config).await.unwrap();
        let driver = tokio::spawn(async move { while handler.next().await.is_some() {} });
        Some(Self { browser, driver, _folder: folder })
    }

    /// A new tab on a server's pages.
    pub(crate) async fn tab(&self, server: &TestServer, runs_scripts: bool) -> Tab {
        let page = self.browser.new_page("about:blank").await.unwrap();
        if !runs_scripts {
            page.execute(SetScriptExecutionDisabledParams::new(true)).await.unwrap();
        }
        let complaints = Arc::<Mutex<Vec<String>>>::default();
        page.enable_log().await.unwrap();
        page.enable_runtime().await.unwrap();
        let mut entries = page.event_listener::<EventEntryAdded>().await.unwrap();
        let mut thrown = page.event_listener::<EventExceptionThrown>().await.unwrap();
        let heard = Arc::clone(&complaints);
        tokio::spawn(async move {
            while let Some(entry) = entries.next().await {
                if matches!(entry.entry.level, LogEntryLevel::Verbose | LogEntryLevel::Info) {
                    continue;
                }
                heard.lock().unwrap().push(format!("{:?}: {}", entry.entry.level, entry.entry.text));
            }
        });
        let heard = Arc::clone(&complaints);
        tokio::spawn(async move {
            while let Some(error) = thrown.next().await {
                heard.lock().unwrap().push(error.exception_details.text.clone());
            }
        });
        Tab { page, base: format!("http://{}", server.address()), complaints }
    }

    /// Lets pages of this server use the clipboard, as a person is asked to.
    pub(crate) async fn shares_clipboard(&self, server: &TestServer) {
        for name in ["clipboard-read", "clipboard-write"] {
            let mut set = SetPermissionParams::new(PermissionDescriptor::new(name), PermissionSetting::Granted);
            set.origin = Some(format!("http://{}", server.address()));
            self.browser.execute(set).await.unwrap();
        }
    }

    pub(crate) async fn close(mut self) {
        self.browser.close().await.unwrap();
        self.browser.wait().await.unwrap();
        self.driver.abort();
    }
}

/// A tab, and what its pages complained of.
pub(crate) struct Tab {
    page: Page,
    base: String,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Tab {
    pub(crate) async fn open(&self, path: &str) {
        self.page.goto(format!("{}{path}", self.base)).await.unwrap();
    }

    /// What an expression comes to on the page there is; none between two pages.
    pub(crate) async fn look(&self, expression: &str) -> Option<Value> {
        let mut asked = EvaluateParams::new(expression);
        asked.return_by_value = Some(true);
        asked.await_promise = Some(true);
        let answer = self.page.execute(asked).await.ok()?.result;
        if answer.exception_details.is_some() {
            return None;
        }
        Some(answer.result.value.unwrap_or(Value::Null))
    }

    /// Waits until an expression comes to something that is not null or false.
    async fn wait(&self, expression: &str) -> Option<Value> {
        for _ in 0..LOOKS {
            let is = self.look(expression).await;
            if is.as_ref().is_some_and(|is| !is.is_null() && *is != Value::Bool(false)) {
                return is;
            }
            tokio::time::sleep(PATIENCE / LOOKS).await;
        }
        None
    }

    async fn wait_or_show(&self, expression: &str, what: &str) -> Value {
        match self.wait(expression).await {
            Some(value) => value,
            None => panic!("{what}: not so on {}", self.text().await),
        }
    }

    /// Where one is, and all a person can read.
    pub(crate) async fn text(&self) -> String {
        let read = self.look("location.pathname + location.search + '\\n' + document.body.innerText").await;
        read.and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Waits until one can read this.
    pub(crate) async fn sees(&self, words: &str) {
        let words = Value::from(words);
        let shown = format!("document.readyState === 'complete' && document.body.innerText.includes({words})");
        self.wait_or_show(&shown, &format!("{words} is seen")).await;
    }

    /// Waits until one is at a path.
    pub(crate) async fn is_at(&self, path: &str) {
        let there = format!("document.readyState === 'complete' && location.pathname === {}", Value::from(path));
        self.wait_or_show(&there, &format!("at {path}")).await;
    }

    /// The text of an element.
    pub(crate) async fn read(&self, selector: &str) -> String {
        let found = format!("document.querySelector({})?.textContent.trim()", Value::from(selector));
        self.wait_or_show(&found, selector).await.as_str().unwrap().to_owned()
    }

    /// Clicks on what has these words, with a mouse.
    pub(crate) async fn click(&self, words: &str) {
        self.click_times(words, 1).await;
    }

    /// The same, so often in a row as fast as a hand can.
    pub(crate) async fn click_times(&self, words: &str, times: usize) {
        let found = format!(
            "(() => {{ if (document.readyState !== 'complete') return null;
               const all = [...document.querySelectorAll('button, a, summary, label')].filter((element) =>
                 element.checkVisibility() && element.innerText.trim().replace(/\\s+/g, ' ') === {});
               if (!all.length) return null;
               all[0].scrollIntoView({{ block: 'center', behavior: 'instant' }});
               const box = all[0].getBoundingClientRect();
               const leads = all[0].matches('a[href]:not([href^=\"#\"], [download])')
                 || all[0].type === 'submit' && all[0].form.checkValidity();
               if (leads) document.documentElement.dataset.left = 'yes';
               return [box.left + box.width / 2, box.top + box.height / 2, leads]; }})()",
            Value::from(words)
        );
        let point = self.wait_or_show(&found, &format!("`{words}` to click on")).await;
        let (leads, point) = (point[2] == true, Point { x: point[0].as_f64().unwrap(), y: point[1].as_f64().unwrap() });
        for _ in 0..times {
            self.page.click(point).await.unwrap();
        }
        // Whoever has clicked on a way elsewhere does nothing on the page they leave. Some lead nowhere: a file that is kept.
        for _ in 0..if leads { LOOKS / 10 } else { 0 } {
            if self.look("!document.documentElement.dataset.left").await == Some(Value::Bool(true)) {
                break;
            }
            tokio::time::sleep(PATIENCE / LOOKS).await;
        }
    }

    /// Types into a field, in place of what was there.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let focused = format!(
            "(() => {{ const field = document.querySelector({});
               if (!field || document.readyState !== 'complete') return null;
               field.focus(); field.select?.(); return true; }})()",
            Value::from(selector)
        );
        self.wait_or_show(&focused, &format!("a field {selector}")).await;
        self.page.execute(InsertTextParams::new(text)).await.unwrap();
    }

    /// Presses a key, as `KeyboardEvent.key` names it.
    pub(crate) async fn press(&self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, None),
            "Enter" => ("Enter", 13, Some("\r")),
            " " => ("Space", 32, Some(" ")),
            "Delete" => ("Delete", 46, None),
            other => panic!("{other} is not on this keyboard"),
        };
        for kind in [DispatchKeyEventType::KeyDown, DispatchKeyEventType::KeyUp] {
            let mut event = DispatchKeyEventParams::new(kind);
            (event.key, event.code) = (Some(key.into()), Some(code.into()));
            event.windows_virtual_key_code = Some(number);
            event.text = text.map(str::to_owned);
            self.page.execute(event).await.unwrap();
        }
    }

    /// Types letter by letter wherever the keyboard is.
    pub(crate) async fn type_text(&self, text: &str) {
        for letter in text.chars() {
            let mut event = DispatchKeyEventParams::new(DispatchKeyEventType::Char);
            event.text = Some(letter.to_string());
            self.page.execute(event).await.unwrap();
        }
    }

    /// Goes back, as the button does.
    pub(crate) async fn back(&self) {
        self.look("history.back()").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    /// Logs in at whatever page asks for it.
    pub(crate) async fn log_in(&self, email: &str) {
        self.fill("#email", email).await;
        self.fill("#password", PASSWORD).await;
        self.click("Log in").await;
    }

    /// Logs out, and waits until one is: the page before may have fields of the same names.
    pub(crate) async fn log_out(&self) {
        self.click("Log out").await;
        self.is_at("/dashboard/login").await;
    }

    /// The page as it looks at a width, light or dark.
    pub(crate) async fn look_like(&self, width: i64, scheme: &str) {
        let metrics = SetDeviceMetricsOverrideParams::new(width, 900, 1.0, width < 600);
        self.page.execute(metrics).await.unwrap();
        let feature = MediaFeature::new("prefers-color-scheme", scheme);
        self.page.execute(SetEmulatedMediaParams::builder().feature(feature).build()).await.unwrap();
    }

    pub(crate) async fn picture(&self, file: &PathBuf) {
        let whole = ScreenshotParams::builder().full_page(true).build();
        std::fs::write(file, self.page.screenshot(whole).await.unwrap()).unwrap();
    }

    /// Requires that no page complained, but of answers that are refusals.
    #[track_caller]
    pub(crate) fn is_quiet(&self) {
        let complaints = self.complaints.lock().unwrap();
        let others: Vec<&String> =
            complaints.iter().filter(|said| !said.contains("Failed to load resource: the server responded")).collect();
        assert!(others.is_empty(), "{others:?}");
    }
}
