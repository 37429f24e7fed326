//! Columns of text that fit a width.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Which way a column leans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Space between columns.
const GAP: usize = 2;

/// A text column is not made narrower than this.
const NARROWEST: usize = 12;

/// Lays out `rows` under `header`; cells that do not fit `width` are cut with
/// an ellipsis, the widest column first. Cells must be printable.
pub(super) fn layout<const N: usize>(
    header: [(&str, Align); N],
    rows: &[[String; N]],
    width: usize,
) -> Vec<String> {
    let mut widths = header.map(|(name, _)| name.width());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    narrow(&mut widths, width.saturating_sub(GAP * N.saturating_sub(1)));
    let aligns = header.map(|(_, align)| align);
    std::iter::once(line(header.map(|(name, _)| name), &widths, &aligns))
        .chain(rows.iter().map(|row| line(row.each_ref().map(String::as_str), &widths, &aligns)))
        .collect()
}

fn narrow(widths: &mut [usize], room: usize) {
    loop {
        let total: usize = widths.iter().sum();
        let Some(widest) = widths.iter_mut().max() else { return };
        if total <= room || *widest <= NARROWEST {
            return;
        }
        let excess = total - room;
        *widest = widest.saturating_sub(excess.min(8)).max(NARROWEST);
    }
}

fn line<const N: usize>(cells: [&str; N], widths: &[usize; N], aligns: &[Align; N]) -> String {
    let mut line = String::new();
    for ((cell, width), align) in cells.iter().zip(widths).zip(aligns) {
        let cell = fit(cell, *width);
        let padding = " ".repeat(width.saturating_sub(cell.width()));
        match align {
            Align::Left => line.push_str(&format!("{cell}{padding}")),
            Align::Right => line.push_str(&format!("{padding}{cell}")),
        }
        line.push_str(&" ".repeat(GAP));
    }
    line.truncate(line.trim_end().len());
    line
}

/// `text`, cut with an ellipsis to at most `width` cells of a terminal.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let mut cut = String::new();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

/// `items` with commas between, in lines of at most `width` cells; an item
/// longer than a line has one of its own.
pub(super) fn wrap(items: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let comma = if index + 1 < items.len() { "," } else { "" };
        match lines.last_mut() {
            Some(line) if line.width() + 1 + item.width() + comma.len() <= width => {
                line.push_str(&format!(" {item}{comma}"));
            }
            _ => lines.push(format!("{item}{comma}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[[&str; 2]]) -> Vec<[String; 2]> {
        cells.iter().map(|row| row.map(str::to_owned)).collect()
    }

    const HEADER: [(&str, Align); 2] = [("name", Align::Left), ("count", Align::Right)];

    #[test]
    fn columns_line_up() {
        let lines = layout(HEADER, &rows(&[["a", "1"], ["日本", "1,000"]]), 80);
        assert_eq!(lines, ["name  count", "a         1", "日本  1,000"]);
    }

    #[test]
    fn the_widest_column_gives_way() {
        let lines = layout(HEADER, &rows(&[[&"x".repeat(50), "12"]]), 30);
        assert_eq!(lines[1], format!("{}…     12", "x".repeat(22)));
        assert!(lines.iter().all(|line| line.width() <= 30));
    }

    #[test]
    fn wide_characters_are_cut_whole() {
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
    }

    #[test]
    fn lists_wrap_between_items() {
        let items: Vec<_> = ["one", "two", "three"].map(str::to_owned).to_vec();
        assert_eq!(wrap(&items, 80), ["one, two, three"]);
        assert_eq!(wrap(&items, 9), ["one, two,", "three"]);
        assert_eq!(wrap(&items, 2), ["one,", "two,", "three"]);
        assert!(wrap(&[], 10).is_empty());
    }
}
