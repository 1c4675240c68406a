//! The two text formats in which metrics are shown: Prometheus' own (0.0.4) and OpenMetrics (1.0.0).
//!
//! Written here because the counters lie in atomics of the workers and are put together when someone asks, and because
//! both formats are wanted: `prometheus-client` keeps the values itself and writes OpenMetrics only. The formats:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>.

use std::fmt::{Display, Write};

/// What the asker understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Label names and values; values are escaped when they are written.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// Writes families one after the other.
pub(super) struct Exposition {
    text: String,
    format: Format,
}

/// The family being written: all its samples follow each other, as both formats demand.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    kind: Kind,
}

impl Format {
    /// By the `Accept` header of the request.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Format::OpenMetrics } else { Format::Prometheus }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Exposition {
    pub(super) fn new(format: Format) -> Self {
        Self { text: String::with_capacity(16 * 1024), format }
    }

    /// `name` is without `_total`: counters get it on their samples, and in Prometheus' format on the family too.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let suffix = if kind == Kind::Counter && self.format == Format::Prometheus { "_total" } else { "" };
        let kind_name = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        push(&mut self.text, format_args!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind_name}\n"));
        Family { text: &mut self.text, name, kind }
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        let suffix = if self.kind == Kind::Counter { "_total" } else { "" };
        self.line(suffix, labels, None, value);
        self
    }

    /// Counts per bucket (not cumulative; one more than there are bounds) and the sum of all values.
    pub(super) fn histogram<'b>(
        &mut self,
        labels: Labels<'_>,
        bounds: impl Iterator<Item = &'b str>,
        counts: &[u64],
        sum: impl Display,
    ) -> &mut Self {
        let mut below = 0;
        for (bound, count) in bounds.chain(["+Inf"]).zip(counts) {
            below += count;
            self.line("_bucket", labels, Some(bound), below);
        }
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, below);
        self
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: impl Display) {
        push(self.text, format_args!("{}{suffix}", self.name));
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut separator = '{';
        for (name, value) in labels {
            push(self.text, format_args!("{separator}{name}=\""));
            escape(self.text, value);
            self.text.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        push(self.text, format_args!(" {value}\n"));
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String cannot fail");
}

/// A label's value: backslash, quote and line feed are escaped, anything else is UTF-8 as it is.
fn escape(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(format: Format) -> String {
        let mut out = Exposition::new(format);
        out.family("a_things", Kind::Counter, "Things.").sample(&[("of", "x")], 3).sample(&[], 4);
        out.finish()
    }

    #[test]
    fn a_counter_is_named_as_each_format_wants_it() {
        assert_eq!(
            counter(Format::Prometheus),
            "# HELP a_things_total Things.\n# TYPE a_things_total counter\na_things_total{of=\"x\"} 3\na_things_total 4\n"
        );
        assert_eq!(
            counter(Format::OpenMetrics),
            "# HELP a_things Things.\n# TYPE a_things counter\na_things_total{of=\"x\"} 3\na_things_total 4\n# EOF\n"
        );
    }

    #[test]
    fn label_values_are_escaped() {
        let mut out = Exposition::new(Format::Prometheus);
        out.family("g", Kind::Gauge, "G.").sample(&[("topic", "a\"b\\c\nd é")], 1);
        assert!(out.finish().ends_with("g{topic=\"a\\\"b\\\\c\\nd é\"} 1\n"));
    }

    #[test]
    fn buckets_are_cumulative_and_end_with_all() {
        let mut out = Exposition::new(Format::Prometheus);
        out.family("h", Kind::Histogram, "H.").histogram(&[("o", "d")], ["0.1", "1.0"].into_iter(), &[2, 0, 5], 9.5);
        let expected = "h_bucket{o=\"d\",le=\"0.1\"} 2\nh_bucket{o=\"d\",le=\"1.0\"} 2\nh_bucket{o=\"d\",le=\"+Inf\"} 7\n\
                        h_sum{o=\"d\"} 9.5\nh_count{o=\"d\"} 7\n";
        assert!(out.finish().ends_with(expected));
    }

    #[test]
    fn the_format_follows_the_accept_header() {
        let scraper = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(Format::accepted(scraper), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
        assert_eq!(Format::accepted(""), Format::Prometheus);
    }
}
