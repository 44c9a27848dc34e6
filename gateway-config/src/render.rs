//! Diagnostics as a picture: the lines of the source text with marks under what is wrong.

use crate::{Diagnostic, Diagnostics, Severity};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

/// Width of the picture in characters.
const WIDTH: usize = 110;

impl Diagnostics {
    /// The picture of all diagnostics, in colour when asked for. Secrets in the text are covered.
    #[must_use]
    pub fn pretty(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_context_lines(1);
        self.items.iter().map(|item| self.picture(&handler, item)).collect()
    }

    fn picture(&self, handler: &GraphicalReportHandler, item: &Diagnostic) -> String {
        let mut picture = String::new();
        // A file that cannot be read has no lines to show its name above.
        let message = if item.line > 0 { item.to_string() } else { format!("{}: {item}", self.file) };
        let mut report = MietteDiagnostic::new(message).with_severity(match item.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        });
        if let Some(hint) = &item.hint {
            report = report.with_help(hint.clone());
        }
        if item.line > 0 {
            report = report.with_label(LabeledSpan::new(None, item.span.start, item.span.len()));
        }
        let report = Report::new(report).with_source_code(NamedSource::new(&self.file, self.source.to_string()));
        match handler.render_report(&mut picture, report.as_ref()) {
            Ok(()) => picture,
            // A picture is not worth losing the message.
            Err(std::fmt::Error) => format!("{item}\n"),
        }
    }
}
