//! The page at `/` for people, and the runbook at `/help`: documents that bring everything with them.

use std::sync::LazyLock;

use hyper::body::Bytes;
use poem::{Endpoint, Response, endpoint::make_sync};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html::push_html};

const HTML: &str = "text/html; charset=utf-8";

/// The scripts of the page, in the order in which they are needed.
const SCRIPTS: [&str; 10] = [
    include_str!("page/texts.js"),
    include_str!("page/dom.js"),
    include_str!("page/format.js"),
    include_str!("page/connection.js"),
    include_str!("page/price.js"),
    include_str!("page/chart.js"),
    include_str!("page/slots.js"),
    include_str!("page/problems.js"),
    include_str!("page/operation.js"),
    include_str!("page/page.js"),
];

/// The page, with its style and its scripts in it.
static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    include_str!("page/index.html")
        .replace("/*style*/", include_str!("page/style.css"))
        .replace("/*script*/", &SCRIPTS.concat())
        .into()
});

/// The runbook.
static RUNBOOK: LazyLock<Bytes> = LazyLock::new(|| {
    let section = section(include_str!("../../README.md"), "### When it is red");
    include_str!("page/help.html").replace("<!--runbook-->", &as_html(section)).into()
});

/// `GET /`.
pub(super) fn endpoint() -> impl Endpoint {
    make_sync(|_| Response::builder().content_type(HTML).body(PAGE.clone()))
}

/// `GET /help`.
pub(super) fn runbook() -> impl Endpoint {
    make_sync(|_| Response::builder().content_type(HTML).body(RUNBOOK.clone()))
}

/// A section of a Markdown document, from its heading to the next one of the same level or above.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let Some((_, rest)) = document.split_once(&format!("\n{heading}\n")) else { return "" };
    let ends = ["\n### ", "\n## "].iter().filter_map(|end| rest.find(end)).min();
    rest.get(..ends.unwrap_or(rest.len())).unwrap_or(rest)
}

/// Markdown as HTML, whose headings have their text as their id, as code hosts link them.
fn as_html(markdown: &str) -> String {
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    for at in 0..events.len() {
        if !matches!(events.get(at), Some(Event::Start(Tag::Heading { .. }))) {
            continue;
        }
        let inside = events.iter().skip(at);
        let inside = inside.take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let id: String = inside
            .filter_map(|event| match event {
                Event::Text(text) | Event::Code(text) => Some(text.to_lowercase()),
                _ => None,
            })
            .collect();
        if let Some(Event::Start(Tag::Heading { level, id: of_heading, .. })) = events.get_mut(at) {
            *level = HeadingLevel::H2;
            *of_heading = Some(id.replace(' ', "-").into());
        }
    }
    for event in &mut events {
        if let Event::End(TagEnd::Heading(level)) = event {
            *level = HeadingLevel::H2;
        }
    }
    let mut html = String::new();
    push_html(&mut html, events.into_iter());
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_whole() {
        assert!(PAGE.len() < 100_000, "{} bytes", PAGE.len());
        let page = String::from_utf8(PAGE.to_vec()).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>"), "{}", &page[..40]);
        assert!(!page.contains("/*style*/") && !page.contains("/*script*/"));
    }

    #[test]
    fn each_problem_has_its_section() {
        let runbook = String::from_utf8(RUNBOOK.to_vec()).unwrap();
        for help in [
            "redis-away",
            "no-scheduler",
            "no-worker",
            "price-stale",
            "nothing-recorded",
            "queue-paused",
            "source-failing",
            "redis-memory",
            "redis-data",
        ] {
            assert!(runbook.contains(&format!("id=\"{help}\"")), "{help}");
        }
    }

    #[test]
    fn headings_have_the_ids_that_links_expect() {
        let html = as_html("#### No worker\n\nStart one.\n");
        assert_eq!(html, "<h2 id=\"no-worker\">No worker</h2>\n<p>Start one.</p>\n");
    }
}
