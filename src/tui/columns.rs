//! Tables that stand still: columns keep their widths while rows change.

use std::borrow::Cow;

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Style;
use unicode_width::UnicodeWidthStr;

use super::draw::DIM;
use super::layout::top;
use crate::report::table::fit;

/// Space between columns.
const GAP: u16 = 2;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    /// Cells; none if it takes the room that the others leave.
    width: Option<u16>,
    right: bool,
    /// Whether the end of a text is shown where not all of it has room.
    ends: bool,
    /// The narrowest area in which it is shown.
    from: u16,
}

impl Column {
    /// Text.
    pub(super) const fn left(title: &'static str, width: u16) -> Self {
        Self { title, width: Some(width), right: false, ends: false, from: 0 }
    }

    /// Numbers.
    pub(super) const fn right(title: &'static str, width: u16) -> Self {
        Self { title, width: Some(width), right: true, ends: false, from: 0 }
    }

    /// Text that takes the room that the others leave.
    pub(super) const fn elastic(title: &'static str) -> Self {
        Self { title, width: None, right: false, ends: false, from: 0 }
    }

    /// A picture of narrow characters that moves to the left, in the room that the
    /// others leave.
    pub(super) const fn moving(title: &'static str) -> Self {
        Self { title, width: None, right: false, ends: true, from: 0 }
    }

    /// Left out where the area is narrower.
    pub(super) const fn from(mut self, width: u16) -> Self {
        self.from = width;
        self
    }
}

/// What stands in a column; printable.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(super) fn new<'a>(text: impl Into<Cow<'a, str>>, style: Style) -> Self {
        Self { text: text.into().into_owned(), style }
    }

    pub(super) fn plain<'a>(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text, Style::new())
    }
}

/// Draws the heads of the columns and as many rows as there is room for.
pub(super) fn table<const N: usize>(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[Column; N],
    rows: impl IntoIterator<Item = [Cell; N]>,
) {
    let mut left = area;
    let places = places(columns, area.width);
    let heads = columns.map(|column| Cell::new(column.title, DIM));
    for row in std::iter::once(heads).chain(rows) {
        let line = top(&mut left, 1);
        if line.is_empty() {
            return;
        }
        for ((cell, column), (x, width)) in row.iter().zip(columns).zip(places) {
            put(buffer, line, cell, *column, (x, width));
        }
    }
}

fn put(buffer: &mut Buffer, line: Rect, cell: &Cell, column: Column, (x, width): (u16, u16)) {
    if width == 0 {
        return;
    }
    let beyond = cell.text.chars().count().saturating_sub(usize::from(width));
    let text = match column.ends {
        true => cell.text.chars().skip(beyond).collect(),
        false => fit(&cell.text, usize::from(width)),
    };
    let used = u16::try_from(text.width()).unwrap_or(width).min(width);
    let indent = if column.right { width - used } else { 0 };
    let x = line.x.saturating_add(x).saturating_add(indent);
    buffer.set_stringn(x, line.y, text, usize::from(used), cell.style);
}

/// Where each column begins, and its width; none has a width of zero that is shown.
fn places<const N: usize>(columns: &[Column; N], room: u16) -> [(u16, u16); N] {
    let shown = columns.iter().filter(|column| column.from <= room);
    let fixed: u16 = shown.clone().filter_map(|column| column.width).sum();
    let gaps = u16::try_from(shown.count()).unwrap_or(u16::MAX).saturating_sub(1) * GAP;
    let rest = room.saturating_sub(fixed + gaps);
    let mut x = 0;
    columns.map(|column| {
        if column.from > room {
            return (x, 0);
        }
        let left = room.saturating_sub(x);
        let place = (x, column.width.unwrap_or(rest).min(left));
        x = x.saturating_add(place.1 + GAP).min(room);
        place
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_share_the_room_and_never_leave_it() {
        let columns =
            [Column::elastic("name"), Column::right("count", 5), Column::left("more", 9).from(30)];
        assert_eq!(places(&columns, 40), [(0, 22), (24, 5), (31, 9)]);
        assert_eq!(places(&columns, 20), [(0, 13), (15, 5), (20, 0)]);
        for room in 0..60 {
            for (x, width) in places(&columns, room) {
                assert!(x + width <= room, "{room}");
            }
        }
    }
}
