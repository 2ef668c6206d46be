//! Colour, on a terminal only.

use std::io::IsTerminal;

/// How words are made to stand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// By colour.
    Colour,
    /// Not at all.
    Plain,
}

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something comes.
    Adds,
    /// Something changes.
    Changes,
    /// Something goes, or is wrong.
    Removes,
    /// Something of less weight.
    Quiet,
    /// A heading.
    Strong,
}

impl Style {
    /// Colour where standard output is a terminal that shows it, unless NO_COLOR is set (no-color.org).
    pub fn of_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb { Self::Colour } else { Self::Plain }
    }

    /// The text in that tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Adds => "32",
            Tone::Changes => "33",
            Tone::Removes => "31",
            Tone::Quiet => "2",
            Tone::Strong => "1",
        };
        match self {
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}
