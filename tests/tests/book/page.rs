//! A page of the documentation: its headings, links and code, with what the comments before the code say of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use azureml_tests::checkout;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page.
pub struct Page {
    /// Where it lies in the checkout.
    pub path: PathBuf,
    /// The anchors of its headings.
    pub anchors: Vec<String>,
    /// Where it leads to.
    pub links: Vec<Link>,
    /// Its code.
    pub blocks: Vec<Block>,
    /// What comments say that stand before no code.
    pub notes: Notes,
}

/// A link or an image.
pub struct Link {
    /// Where it leads.
    pub target: String,
    /// The line that it is in.
    pub line: usize,
}

/// A block of code.
pub struct Block {
    /// The line of its first line.
    pub line: usize,
    /// `sh`, `console`, `yaml`, …
    pub language: String,
    /// What stands in it.
    pub text: String,
    /// What the comments before it say.
    pub notes: Notes,
}

/// Comments `<!-- name: what -->` and `<!-- name -->`.
pub type Notes = BTreeMap<String, String>;

impl Page {
    /// Reads a page of the checkout.
    pub fn read(path: &Path) -> Self {
        let file = checkout().join(path);
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Self {
        let mut page =
            Page { path: path.into(), anchors: Vec::new(), links: Vec::new(), blocks: Vec::new(), notes: Notes::new() };
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let (mut notes, mut heading, mut code) = (Notes::new(), None::<String>, None::<Block>);
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Html(html) | Event::InlineHtml(html) => notes.extend(note(&html)),
                Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(info) => info.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    let notes = std::mem::take(&mut notes);
                    code = Some(Block { line: line(range.start) + 1, language, text: String::new(), notes });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(code.take()),
                Event::Text(words) | Event::Code(words) => {
                    if let Some(block) = &mut code {
                        block.text.push_str(&words);
                    }
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                Event::Start(tag) => {
                    page.notes.append(&mut notes);
                    match tag {
                        Tag::Heading { .. } => heading = Some(String::new()),
                        Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                            page.links.push(Link { target: dest_url.to_string(), line: line(range.start) });
                        }
                        _ => {}
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let before = page.anchors.iter().filter(|known| **known == anchor).count();
                    page.anchors.push(if before == 0 { anchor } else { format!("{anchor}-{before}") });
                }
                _ => {}
            }
        }
        page.notes.append(&mut notes);
        page
    }

    /// Where a block stands, for messages.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// `name: what` of a comment; what is empty where there is no colon.
fn note(html: &str) -> Option<(String, String)> {
    let inner = html.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim();
    let (name, what) = inner.split_once(": ").unwrap_or((inner, ""));
    Some((name.to_owned(), what.to_owned()))
}

/// The anchor of a heading, as mdBook and code hosts make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// The pages of the book, in its order, as `SUMMARY.md` lists them.
pub fn chapters() -> Vec<PathBuf> {
    let summary = Page::read(Path::new("docs/SUMMARY.md"));
    summary.links.iter().map(|link| Path::new("docs").join(&link.target)).collect()
}

/// What else is read as documentation.
pub fn others() -> Vec<PathBuf> {
    ["README.md", "charts/azureml-operator/README.md", "tests/README.md", "tests/fuzz/README.md"]
        .map(PathBuf::from)
        .to_vec()
}

#[test]
fn pages_are_read_as_they_are_written() {
    let text = "# A `b` c-d.e\n\n<!-- begins with: nothing -->\n\nSee [x](y.md#z).\n\n<!-- not run: why -->\n```sh\nls\n```\n\n\
                ```yaml\na: 1\n```\n\n# A b c-de\n";
    let page = Page::parse(Path::new("p.md"), text);
    assert_eq!(page.anchors, ["a-b-c-de", "a-b-c-de-1"]);
    assert_eq!((page.links[0].target.as_str(), page.links[0].line), ("y.md#z", 5));
    let told: Vec<_> = page.blocks.iter().map(|b| (b.line, b.language.as_str(), b.text.as_str())).collect();
    assert_eq!(told, [(9, "sh", "ls\n"), (13, "yaml", "a: 1\n")]);
    assert_eq!(page.blocks[0].notes["not run"], "why");
    assert!(page.blocks[1].notes.is_empty());
    assert_eq!(page.notes["begins with"], "nothing");
}
