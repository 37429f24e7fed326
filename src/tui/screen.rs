//! Cells that changed into the bytes that show them on a terminal.
//!
//! A picture is gathered and handed over in one piece, so that a terminal never shows
//! half of one for long.

use std::io::{self, Write};

use anstyle::{AnsiColor, Effects};
use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};

/// The largest picture, in cells; a terminal beyond it has an empty margin.
const LARGEST: (u16, u16) = (400, 200);

/// The size of a terminal that does not tell it.
const USUAL: (u16, u16) = (80, 24);

/// Where pictures go.
pub(super) trait Output {
    /// Shows bytes.
    fn show(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Columns and lines, as far as they are known.
    fn size(&self) -> Option<(u16, u16)>;
}

/// A terminal as ratatui draws on it.
#[derive(Debug)]
pub(super) struct Screen<O> {
    output: O,
    waiting: Vec<u8>,
}

impl<O: Output> Screen<O> {
    pub(super) fn new(output: O) -> Self {
        Self { output, waiting: Vec::new() }
    }

    fn put(&mut self, arguments: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.waiting.write_fmt(arguments)
    }
}

impl<O: Output> Backend for Screen<O> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        // Where the cursor is, as far as that is sure.
        let mut cursor = None;
        let mut style = None;
        for (x, y, cell) in content {
            if cursor != Some((x, y)) {
                self.put(format_args!("\x1b[{};{}H", y.saturating_add(1), x.saturating_add(1)))?;
            }
            if style != Some((cell.fg, cell.modifier)) {
                style = Some((cell.fg, cell.modifier));
                self.put(format_args!("\x1b[0m{}", ansi(cell.fg, cell.modifier)))?;
            }
            let symbol = cell.symbol();
            self.put(format_args!("{symbol}"))?;
            // Terminals do not agree on the width of everything.
            cursor = matches!(symbol.as_bytes(), [b' '..=b'~']).then(|| (x.saturating_add(1), y));
        }
        self.put(format_args!("\x1b[0m"))
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.put(format_args!("\x1b[?25l"))
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.put(format_args!("\x1b[?25h"))
    }

    /// Nothing that is drawn depends on it, and asking would mean waiting for an answer.
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        self.put(format_args!("\x1b[{};{}H", y.saturating_add(1), x.saturating_add(1)))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.put(format_args!("\x1b[0m"))?;
        self.put(match region {
            ClearType::All => format_args!("\x1b[2J"),
            ClearType::AfterCursor => format_args!("\x1b[J"),
            ClearType::BeforeCursor => format_args!("\x1b[1J"),
            ClearType::CurrentLine => format_args!("\x1b[2K"),
            ClearType::UntilNewLine => format_args!("\x1b[K"),
        })
    }

    fn size(&self) -> io::Result<Size> {
        let known = self.output.size().filter(|(width, height)| *width > 0 && *height > 0);
        let (width, height) = known.unwrap_or(USUAL);
        Ok(Size::new(width.min(LARGEST.0), height.min(LARGEST.1)))
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::default() })
    }

    fn flush(&mut self) -> io::Result<()> {
        let shown = self.output.show(&self.waiting);
        self.waiting.clear();
        shown
    }
}

/// The style as an escape sequence; only what the view uses.
fn ansi(colour: Color, modifier: Modifier) -> anstyle::Style {
    let colour = match colour {
        Color::Red => Some(AnsiColor::Red),
        Color::Green => Some(AnsiColor::Green),
        Color::Yellow => Some(AnsiColor::Yellow),
        Color::Cyan => Some(AnsiColor::Cyan),
        _ => None,
    };
    let mut effects = Effects::new();
    for (has, effect) in [
        (Modifier::BOLD, Effects::BOLD),
        (Modifier::DIM, Effects::DIMMED),
        (Modifier::REVERSED, Effects::INVERT),
    ] {
        if modifier.contains(has) {
            effects = effects.insert(effect);
        }
    }
    anstyle::Style::new().fg_color(colour.map(Into::into)).effects(effects)
}

#[cfg(test)]
mod tests {
    use ratatui_core::style::Style;
    use ratatui_core::terminal::Terminal;

    use super::*;

    #[derive(Default)]
    struct Paper {
        text: String,
        size: Option<(u16, u16)>,
    }

    impl Output for &mut Paper {
        fn show(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.text.push_str(std::str::from_utf8(bytes).unwrap());
            Ok(())
        }

        fn size(&self) -> Option<(u16, u16)> {
            self.size
        }
    }

    #[test]
    fn only_what_changed_is_written() {
        let mut paper = Paper::default();
        let mut terminal = Terminal::new(Screen::new(&mut paper)).unwrap();
        for text in ["a日b", "a日c"] {
            terminal
                .draw(|frame| {
                    let red = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
                    frame.buffer_mut().set_string(2, 1, text, red);
                })
                .unwrap();
        }
        drop(terminal);
        let (first, second) = paper.text.split_once("\x1b[?25l").unwrap();
        assert_eq!(first, "\x1b[2;3H\x1b[0m\x1b[1m\x1b[31ma日\x1b[2;6Hb\x1b[0m");
        assert!(second.contains("\x1b[2;6H\x1b[0m\x1b[1m\x1b[31mc\x1b[0m"), "{second:?}");
        assert!(!second.contains('a'), "{second:?}");
    }

    #[test]
    fn sizes_are_sound() {
        for (told, size) in [
            (None, (80, 24)),
            (Some((0, 0)), (80, 24)),
            (Some((1, 1)), (1, 1)),
            (Some((u16::MAX, u16::MAX)), LARGEST),
        ] {
            let mut paper = Paper { size: told, ..Paper::default() };
            let got = Screen::new(&mut paper).size().unwrap();
            assert_eq!((got.width, got.height), size, "{told:?}");
        }
    }
}
