//! Text that looks like what the web is made of: pages, scripts, style sheets
//! and JSON documents of a wanted size.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::random::Random;

static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    "the of and to in for is on that by this with you it not or be are from at as your all \
     have new more an was we will home can us about if page my has search free but our one \
     other do no information time they site he up may what which their news out use any there \
     see only so his when contact here business who web also now help get view online first \
     am been would how were services some these click its like service than find price date \
     back caf\u{e9}"
        .split(' ')
        .collect()
});

static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    "id name title description url type status createdAt updatedAt owner price currency count \
     tags items image width height email city country lat lon method params result content \
     text user role enabled score version parent children message locale sku quantity \
     category total offset limit next token data error kind"
        .split(' ')
        .collect()
});

const TAGS: [&str; 8] = ["p", "div", "span", "li", "section", "h2", "td", "article"];

pub(crate) fn word(random: &mut Random) -> &'static str {
    // Common words come first, and come often.
    let end = 1 + random.within(0..WORDS.len());
    WORDS[random.within(0..end)]
}

pub(crate) fn name(random: &mut Random) -> &'static str {
    NAMES[random.within(0..NAMES.len())]
}

/// Words, of at least `len` bytes.
pub(crate) fn sentence(random: &mut Random, len: usize) -> String {
    let mut text = String::with_capacity(len + 16);
    while text.len() < len {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word(random));
    }
    text
}

pub(crate) fn page(random: &mut Random, len: usize) -> String {
    let mut out = String::with_capacity(len + 512);
    let title = sentence(random, 30);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>{title}</title>\n<link rel=\"stylesheet\" href=\"/static/main.{}.css\">\n",
        random.hex(8)
    );
    let _ = writeln!(
        out,
        "<script type=\"application/ld+json\">{{\"@context\":\"https://schema.org\",\
         \"@type\":\"WebPage\",\"name\":\"{title}\"}}</script>\n</head>\n<body>"
    );
    while out.len() < len {
        let tag = random.pick(&TAGS);
        let class = name(random);
        let size = random.within(20..400);
        let _ = write!(out, "<{tag} class=\"{class} {class}-{}\">", random.within(0..40));
        out.push_str(&sentence(random, size));
        if random.permille(250) {
            let (to, label) = (random.hex(10), sentence(random, 12));
            let _ = write!(out, " <a href=\"/{class}/{to}?ref={}\">{label}</a>", word(random));
        }
        let _ = writeln!(out, "</{tag}>");
        if random.permille(4) {
            out.push_str("<pre>{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\"}</pre>\n");
        }
    }
    out.push_str("</body>\n</html>\n");
    out
}

pub(crate) fn script(random: &mut Random, len: usize) -> String {
    let mut out = String::with_capacity(len + 256);
    out.push_str("/*! bundle */\"use strict\";(()=>{var e={};");
    while out.len() < len {
        let (a, b) = (name(random), name(random));
        let n = random.within(0..9_999);
        let _ = match random.within(0..4) {
            0 => write!(out, "function {a}{n}(t,n){{return t&&n.{b}?t[\"{a}\"]:void 0!==n&&{n}}}"),
            1 => write!(out, "const {b}{n}={{{a}:{n},{b}:\"{}\"}};", sentence(random, 18)),
            2 => write!(out, "e.{a}=(...t)=>t.map((t=>t.{b}+{n})).filter(Boolean);"),
            _ => write!(out, "if(!e[\"{a}\"]){{throw new Error(\"{}\")}}", sentence(random, 24)),
        };
    }
    out.push_str("})();\n");
    out
}

pub(crate) fn style_sheet(random: &mut Random, len: usize) -> String {
    let mut out = String::with_capacity(len + 128);
    while out.len() < len {
        let _ = writeln!(
            out,
            ".{}-{}{{color:#{};margin:{}px {}px;display:flex;font-family:\"{}\",sans-serif}}",
            name(random),
            random.within(0..500),
            random.hex(6),
            random.within(0..40),
            random.within(0..40),
            word(random),
        );
    }
    out
}

/// A JSON array, or an object that holds one, of records.
pub(crate) fn json(random: &mut Random, len: usize) -> String {
    let mut out = String::with_capacity(len + 512);
    let wrapped = random.permille(700);
    out.push_str(if wrapped { "{\"status\":\"ok\",\"data\":[" } else { "[" });
    loop {
        record(random, &mut out, 0);
        if out.len() >= len {
            break;
        }
        out.push(',');
    }
    out.push(']');
    if wrapped {
        let _ = write!(out, ",\"total\":{},\"next\":null}}", random.within(10..9_000));
    }
    out
}

fn record(random: &mut Random, out: &mut String, depth: usize) {
    out.push('{');
    for field in 0..random.within(4..14) {
        if field > 0 {
            out.push(',');
        }
        let _ = write!(out, "\"{}\":", name(random));
        value(random, out, depth);
    }
    out.push('}');
}

fn value(random: &mut Random, out: &mut String, depth: usize) {
    let _ = match random.within(0..if depth < 3 { 10 } else { 8 }) {
        0 | 1 => write!(out, "{}", random.within(0..1_000_000)),
        2 => write!(out, "{}.{:02}", random.within(0..500), random.within(0..100)),
        3 => write!(out, "{}", random.permille(500)),
        4 => write!(out, "\"{}\"", random.uuid()),
        5 => write!(out, "\"https:\\/\\/cdn.example.net\\/{}\"", random.hex(12)),
        6 | 7 => {
            let len = random.magnitude(6..200);
            write!(out, "\"{}\"", sentence(random, len))
        }
        8 => {
            record(random, out, depth + 1);
            Ok(())
        }
        _ => write!(out, "[\"{}\",\"{}\"]", word(random), word(random)),
    };
}
