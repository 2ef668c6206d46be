//! Pages link to files of the checkout, which a reader of the sources follows. The book holds none of these files, so
//! there such a link becomes the words it stood on, and the path.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use mdbook_preprocessor::book::Book;
use mdbook_preprocessor::errors::Result;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Takes away links that lead out of the book.
pub(crate) struct Outside;

impl Preprocessor for Outside {
    fn name(&self) -> &str {
        "outside"
    }

    fn run(&self, _: &PreprocessorContext, mut book: Book) -> Result<Book> {
        book.for_each_chapter_mut(|chapter| {
            let folder = chapter.source_path.as_ref().and_then(|path| path.parent()).unwrap_or(Path::new(""));
            chapter.content = without_outside(&chapter.content, folder);
        });
        Ok(book)
    }
}

/// The page without links that lead out of the book.
fn without_outside(text: &str, folder: &Path) -> String {
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    let mut open: Option<(PathBuf, Range<usize>)> = None;
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::Link { dest_url, .. }) => {
                open = outside(&dest_url, folder).map(|path| (path, range.end..range.start));
            }
            Event::End(TagEnd::Link) => {
                let Some((path, words)) = open.take() else { continue };
                let words = text.get(words).unwrap_or_default();
                let path = path.display().to_string();
                let plain = if words.contains(path.trim_end_matches('/')) {
                    words.to_owned()
                } else {
                    format!("{words} (`{path}`)")
                };
                changes.push((range, plain));
            }
            _ => {
                if let Some((_, words)) = &mut open {
                    *words = words.start.min(range.start)..words.end.max(range.end);
                }
            }
        }
    }
    let mut text = text.to_owned();
    for (range, plain) in changes.into_iter().rev() {
        text.replace_range(range, &plain);
    }
    text
}

/// Where a link leads in the checkout, if that is outside of the book.
fn outside(link: &str, folder: &Path) -> Option<PathBuf> {
    if link.contains("://") || link.starts_with('#') || link.starts_with("mailto:") {
        return None;
    }
    let mut path: Vec<Component<'_>> = folder.components().collect();
    let mut left = false;
    for part in Path::new(link.split('#').next().unwrap_or_default()).components() {
        match part {
            Component::ParentDir => left |= path.pop().is_none(),
            other => path.push(other),
        }
    }
    left.then(|| path.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_out_of_the_book_go() {
        for (page, book) in [
            ("[a](b.md) and [c](../d.md#e)", "[a](b.md) and [c](../d.md#e)"),
            ("[samples](../../deploy/samples), more", "samples (`deploy/samples`), more"),
            ("[`deploy/samples`](../../deploy/samples/)", "`deploy/samples`"),
            ("a [y **z**](../../crds)", "a y **z** (`crds`)"),
            ("[x](https://a.example/../../b) [y](#here)", "[x](https://a.example/../../b) [y](#here)"),
        ] {
            assert_eq!(without_outside(page, Path::new("how-to")), book);
        }
    }
}
