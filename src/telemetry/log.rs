//! Logs: text for people, one JSON object a line for collectors; always on standard error, standard output is for data.
//!
//! Levels say who must act: error, a person now; warn, a person some day; info, the story of a run in a page; debug,
//! us. `RUST_LOG` wins over `-v` and `-q`.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub format: LogFormat,
    /// The number of `-v` less the number of `-q`.
    pub verbosity: i8,
    /// `RUST_LOG`, where it is set and not empty.
    pub rust_log: Option<String>,
    /// Colours: a terminal, and no `NO_COLOR`.
    pub color: bool,
    /// One live line at the bottom of the terminal.
    pub live: bool,
}

/// Standard error, shared by the logs and the live line, so that neither is written into the other.
#[derive(Clone, Debug)]
pub struct Screen(ProgressBar);

/// May this stream be coloured? Not into files and pipes, nor where `NO_COLOR` is set (<https://no-color.org>).
pub fn color_wanted(env: &dyn Fn(&str) -> Option<String>, stream: &impl IsTerminal) -> bool {
    let dumb = env("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !dumb && env("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Sends the logs of this process to standard error; once per process. The error is for the user: a bad `RUST_LOG`.
pub fn init(options: &LogOptions) -> Result<Screen, String> {
    let filter = filter(options)?;
    let screen = if options.live { Screen::live() } else { Screen::plain() };
    // Another subscriber can only be there in a test; then that one is meant.
    let _ = match options.format {
        LogFormat::Text => tracing::subscriber::set_global_default(text(filter, options, screen.clone())),
        LogFormat::Json => tracing::subscriber::set_global_default(json(filter, screen.clone())),
    };
    Ok(screen)
}

fn filter(options: &LogOptions) -> Result<EnvFilter, String> {
    if let Some(directives) = &options.rust_log {
        return EnvFilter::try_new(directives).map_err(|error| format!("RUST_LOG cannot be read: {error}"));
    }
    let directives = match options.verbosity {
        ..=-2 => "error",
        -1 => "warn",
        0 => "warn,tidemill=info",
        1 => "info,tidemill=debug",
        2.. => "debug,tidemill=trace",
    };
    Ok(EnvFilter::new(directives))
}

fn text<W>(filter: EnvFilter, options: &LogOptions, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(options.color).with_target(options.verbosity > 0);
    Registry::default().with(filter).with(layer)
}

fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    Registry::default().with(filter).with(layer.with_writer(writer))
}

impl Screen {
    fn plain() -> Self {
        Self(ProgressBar::hidden())
    }

    fn live() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
        Self(bar.with_style(ProgressStyle::with_template("{wide_msg}").expect("a template of one known key")))
    }

    pub fn is_live(&self) -> bool {
        !self.0.is_hidden()
    }

    /// Replaces the live line.
    pub(super) fn show(&self, text: String) {
        self.0.set_message(text);
        self.0.tick();
    }

    /// Takes the live line away.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = Screen;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Kept;

        fn make_writer(&'a self) -> Kept {
            self.clone()
        }
    }

    fn options(verbosity: i8, rust_log: Option<&str>) -> LogOptions {
        LogOptions { verbosity, rust_log: rust_log.map(String::from), ..LogOptions::default() }
    }

    fn logged(options: &LogOptions, work: impl FnOnce()) -> String {
        let kept = Kept::default();
        let filter = filter(options).unwrap();
        match options.format {
            LogFormat::Text => tracing::subscriber::with_default(text(filter, options, kept.clone()), work),
            LogFormat::Json => tracing::subscriber::with_default(json(filter, kept.clone()), work),
        }
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    /// Which of our and the libraries' levels pass.
    fn levels(options: &LogOptions) -> Vec<&'static str> {
        let text = logged(options, || {
            tracing::error!(target: "tidemill::x", "our-error");
            tracing::warn!(target: "tidemill::x", "our-warn");
            tracing::info!(target: "tidemill::x", "our-info");
            tracing::debug!(target: "tidemill::x", "our-debug");
            tracing::info!(target: "library", "their-info");
        });
        ["our-error", "our-warn", "our-info", "our-debug", "their-info"]
            .into_iter()
            .filter(|level| text.contains(level))
            .collect()
    }

    #[test]
    fn more_v_shows_more_and_more_q_less() {
        assert_eq!(levels(&options(0, None)), ["our-error", "our-warn", "our-info"]);
        assert_eq!(levels(&options(1, None)), ["our-error", "our-warn", "our-info", "our-debug", "their-info"]);
        assert_eq!(levels(&options(-1, None)), ["our-error", "our-warn"]);
        assert_eq!(levels(&options(-5, None)), ["our-error"]);
    }

    #[test]
    fn rust_log_wins_and_a_bad_one_is_an_error() {
        assert_eq!(levels(&options(3, Some("error"))), ["our-error"]);
        assert_eq!(levels(&options(-2, Some("library=info"))), ["their-info"]);
        assert!(filter(&options(0, Some("tidemill=loud"))).unwrap_err().starts_with("RUST_LOG cannot be read"));
    }

    #[test]
    fn json_is_one_object_a_line_with_its_fields_beside_the_message() {
        let options = LogOptions { format: LogFormat::Json, ..LogOptions::default() };
        let text = logged(&options, || {
            tracing::info!(target: "tidemill", topic = "a\n\"b\"", records = 3, "two\nlines");
            tracing::warn!(target: "tidemill", "again");
        });
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (&lines[0]["level"], &lines[0]["message"], &lines[0]["topic"]),
            (&"INFO".into(), &"two\nlines".into(), &"a\n\"b\"".into())
        );
        assert_eq!(lines[0]["records"].as_u64(), Some(3));
        assert!(lines[1]["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
    }

    #[test]
    fn text_has_colours_only_where_they_are_wanted() {
        let plain = logged(&options(0, None), || tracing::warn!(target: "tidemill", "hello"));
        assert!(!plain.contains('\u{1b}') && plain.contains(" WARN hello"), "{plain:?}");
        let colored = LogOptions { color: true, ..LogOptions::default() };
        assert!(logged(&colored, || tracing::warn!(target: "tidemill", "hello")).contains('\u{1b}'));
    }
}
