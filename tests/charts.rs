//! The chart and the badge.

use crate::harness::{Api, Database, samples};

const FIRST: i64 = 1_717_184_860;

/// Starts an API with ten recorded slots and a gap of five slots between them.
async fn api() -> Api {
    let database = Database::new().await;
    let five = |n: i64| {
        let price = move |k: i64| (84_000_000 + (n + k) * 1000).to_string();
        samples(FIRST + 10 * n).every(10).count(5).prices(price)
    };
    database.record(&five(0)).await;
    database.record(&five(10)).await;
    Api::start(&database).await
}

fn path(query: &str) -> String {
    format!("/api/chart.svg?since={FIRST}&until={}&{query}", FIRST + 149)
}

async fn svg(api: &Api, query: &str) -> String {
    let answer = api.get(&path(query)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "image/svg+xml");
    answer.text
}

/// Counts the elements of an image that begin with the given text.
fn elements(svg: &str, begin: &str) -> usize {
    svg.matches(begin).count()
}

#[tokio::test]
async fn a_line_is_broken_where_slots_are_missed() {
    let svg = svg(&api().await, "width=600&height=200").await;
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
    let lines = svg.lines().filter(|line| line.contains("polyline") && line.contains("#0B61B8"));
    assert_eq!(lines.count(), 2, "{svg}");
    let gaps = svg.lines().filter(|line| line.contains("<rect") && line.contains("#BE3C28"));
    assert_eq!(gaps.count(), 1, "{svg}");
}

#[tokio::test]
async fn the_time_after_the_last_price_is_a_gap_too() {
    let api = api().await;
    let query = format!("/api/chart.svg?since={FIRST}&until={}", FIRST + 600);
    let svg = api.get(&query).await.text;
    let gaps = svg.lines().filter(|line| line.contains("<rect") && line.contains("#BE3C28"));
    assert_eq!(gaps.count(), 2, "{svg}");
    let before = format!("/api/chart.svg?since={}&until={}", FIRST - 600, FIRST + 40);
    let svg = api.get(&before).await.text;
    assert!(!svg.contains("#BE3C28"), "nothing was expected before the first price: {svg}");
}

#[tokio::test]
async fn the_chart_has_attributes_for_its_range_and_plot_area() {
    let svg = svg(&api().await, "width=640&height=240").await;
    let attribute = |name: &str| -> i64 {
        let rest = svg.split_once(&format!(" {name}=\"")).expect(name).1;
        rest.split_once('"').unwrap().0.parse().unwrap()
    };
    assert_eq!((attribute("data-since"), attribute("data-until")), (FIRST, FIRST + 149));
    assert!(attribute("data-left") > 0 && attribute("data-right") <= 640, "{svg}");
    assert!(attribute("data-top") >= 0 && attribute("data-bottom") < 240, "{svg}");
    assert_eq!((attribute("width"), attribute("height")), (640, 240));
}

#[tokio::test]
async fn candles_use_the_colours_of_the_theme() {
    let api = api().await;
    let size = "kind=candles&width=100&height=100";
    let light = svg(&api, size).await;
    assert!(elements(&light, "#12805C") >= 4, "{light}");
    let dark = svg(&api, &format!("{size}&theme=dark")).await;
    assert!(dark.contains("#161B22") && !dark.contains("#12805C"), "{dark}");
}

#[tokio::test]
async fn labels_use_the_requested_time_zone() {
    let api = api().await;
    assert!(svg(&api, "").await.contains("19:48:00"));
    let local = svg(&api, "time_zone=America/Argentina/Buenos_Aires").await;
    assert!(local.contains("16:48:00"), "{local}");
}

#[tokio::test]
async fn any_range_is_drawn_even_an_empty_one() {
    let api = api().await;
    for query in [
        "",
        "since=0001-01-01&until=9999-12-31",
        "since=-10w&until=now",
        "since=2030-01-01&until=2030-01-01",
        "until=1970-01-01",
        "since=now",
        "since=9999-12-31T23:59:59Z",
        "since=0001-01-01&until=0001-01-01",
        "width=100&height=100",
        "width=4000&height=4000&kind=candles",
    ] {
        let answer = api.get(&format!("/api/chart.svg?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        assert!(answer.text.trim_end().ends_with("</svg>"), "{query}");
    }
    let future = api.get("/api/chart.svg?since=2099-01-01").await.text;
    assert!(future.contains("data-since=\"4070908800\""), "{future}");
    let empty = Api::start(&Database::new().await).await;
    assert_eq!(empty.get("/api/chart.svg").await.status, 200);
}

#[tokio::test]
async fn an_error_names_the_invalid_parameter_of_a_chart() {
    let api = api().await;
    for (query, parameter, part) in [
        ("width=50", "width", "from 100 to 4000"),
        ("height=5e9", "height", "from 100 to 4000"),
        ("kind=bars", "kind", "give line or candles"),
        ("theme=blue", "theme", "give light or dark"),
        ("since=2024-06-01&until=2024-05-01", "since", "after"),
    ] {
        let problem = api.get(&format!("/api/chart.svg?{query}")).await.problem(400);
        assert_eq!(problem["parameter"], parameter, "{query}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{query}: {detail}");
    }
}

#[tokio::test]
async fn the_badge_shows_the_last_price_and_that_it_is_stale() {
    let badge = api().await.get("/api/badge.svg").await;
    assert_eq!(
        (badge.status.as_u16(), &badge.headers["content-type"]),
        (200, &"image/svg+xml".parse().unwrap())
    );
    assert!(badge.text.contains(">84.014.000 (stale)<"), "{}", badge.text);
    let none = Api::start(&Database::new().await).await.get("/api/badge.svg").await;
    assert!(none.text.contains(">-<"), "{}", none.text);
}
