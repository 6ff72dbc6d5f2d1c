//! The HTML page at `/` and the runbook at `/help`. Both are self-contained: styles and scripts are inline.
//! Uses the files in `page/`.

use std::sync::LazyLock;

use hyper::body::Bytes;
use poem::{Endpoint, Response, endpoint::make_sync};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html::push_html};

const HTML: &str = "text/html; charset=utf-8";

/// The scripts of the page, in the order in which they run.
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

/// The page, with its style sheet and scripts inlined.
static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    include_str!("page/index.html")
        .replace("/*style*/", include_str!("page/style.css"))
        .replace("/*script*/", &SCRIPTS.concat())
        .into()
});

/// The runbook (`page/runbook.md`) as HTML.
static RUNBOOK: LazyLock<Bytes> = LazyLock::new(|| {
    let runbook = as_html(include_str!("page/runbook.md"));
    include_str!("page/help.html").replace("<!--runbook-->", &runbook).into()
});

/// Serves the page: `GET /`.
pub(super) fn endpoint() -> impl Endpoint {
    make_sync(|_| Response::builder().content_type(HTML).body(PAGE.clone()))
}

/// Serves the runbook: `GET /help`.
pub(super) fn runbook() -> impl Endpoint {
    make_sync(|_| Response::builder().content_type(HTML).body(RUNBOOK.clone()))
}

/// Converts Markdown to HTML. The id of a heading is its text in lower case with hyphens, as on code hosts.
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
        if let Some(Event::Start(Tag::Heading { id: of_heading, .. })) = events.get_mut(at) {
            *of_heading = Some(id.replace(' ', "-").into());
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
    fn the_page_is_small_and_complete() {
        assert!(PAGE.len() < 100_000, "{} bytes", PAGE.len());
        let page = String::from_utf8(PAGE.to_vec()).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>"), "{}", &page[..40]);
        assert!(!page.contains("/*style*/") && !page.contains("/*script*/"));
    }

    #[test]
    fn each_problem_has_a_section_in_the_runbook() {
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
    fn headings_have_the_same_ids_as_on_code_hosts() {
        let html = as_html("## No worker\n\nStart one.\n");
        assert_eq!(html, "<h2 id=\"no-worker\">No worker</h2>\n<p>Start one.</p>\n");
    }
}
