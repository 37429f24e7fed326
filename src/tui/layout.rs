//! What goes where: the area of the terminal into an area for each part, of which
//! some are empty where there is no room.

use ratatui_core::layout::Rect;

use super::model::Pane;

/// Fewer lines between head and foot show the pane with the focus alone.
const ALL_PANES: u16 = 13;

/// Fewer lines have no room for messages.
const WITH_MESSAGES: u16 = 5;

/// Lines of a pane that are not rows: its title and the heads of its columns.
pub(super) const PANE_HEAD: u16 = 2;

/// Lines of sums under the interfaces.
pub(super) const SUMS: u16 = 2;

/// The area of each part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) head: Rect,
    pub(super) interfaces: Rect,
    pub(super) servers: Rect,
    pub(super) findings: Rect,
    pub(super) message: Rect,
    pub(super) foot: Rect,
}

impl Areas {
    /// Divides `area` for so many interfaces.
    pub(super) fn of(area: Rect, interfaces: usize, focus: Pane) -> Self {
        let mut left = area;
        let mut areas =
            Self { head: top(&mut left, 1), foot: bottom(&mut left, 1), ..Self::default() };
        if left.height >= WITH_MESSAGES {
            areas.message = bottom(&mut left, 1);
        }
        if left.height < ALL_PANES {
            *areas.pane_mut(focus) = left;
            return areas;
        }
        let rows = u16::try_from(interfaces).unwrap_or(u16::MAX).clamp(1, left.height / 4);
        areas.interfaces = top(&mut left, PANE_HEAD + rows + SUMS);
        let half = left.height / 2;
        areas.servers = top(&mut left, half);
        areas.findings = left;
        areas
    }

    /// The area of a pane.
    pub(super) fn pane(&self, pane: Pane) -> Rect {
        match pane {
            Pane::Interfaces => self.interfaces,
            Pane::Servers => self.servers,
            Pane::Findings => self.findings,
        }
    }

    /// Rows that a pane has room for.
    pub(super) fn rows(&self, pane: Pane) -> usize {
        let beside = match pane {
            Pane::Interfaces => PANE_HEAD + SUMS,
            Pane::Servers | Pane::Findings => PANE_HEAD,
        };
        usize::from(self.pane(pane).height.saturating_sub(beside))
    }

    fn pane_mut(&mut self, pane: Pane) -> &mut Rect {
        match pane {
            Pane::Interfaces => &mut self.interfaces,
            Pane::Servers => &mut self.servers,
            Pane::Findings => &mut self.findings,
        }
    }
}

/// Takes lines off the top.
pub(super) fn top(left: &mut Rect, height: u16) -> Rect {
    let taken = Rect { height: height.min(left.height), ..*left };
    left.y = left.y.saturating_add(taken.height);
    left.height -= taken.height;
    taken
}

/// Takes lines off the bottom.
pub(super) fn bottom(left: &mut Rect, height: u16) -> Rect {
    let height = height.min(left.height);
    left.height -= height;
    Rect { y: left.y.saturating_add(left.height), height, ..*left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_the_area_and_never_overlap() {
        for height in 0..60 {
            for width in [0, 1, 80, 300] {
                for interfaces in [0, 1, 3, 200] {
                    for focus in Pane::ALL {
                        let area = Rect::new(0, 0, width, height);
                        let areas = Areas::of(area, interfaces, focus);
                        let Areas { head, interfaces, servers, findings, message, foot } = areas;
                        let parts = [head, interfaces, servers, findings, message, foot];
                        let mut y = 0;
                        for part in parts.iter().filter(|part| part.height > 0) {
                            assert_eq!(part.y, y, "{height}: {areas:?}");
                            y += part.height;
                        }
                        assert_eq!(y, height, "{areas:?}");
                        assert!(areas.rows(focus) > 0 || height < 9, "{height}: {areas:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_usual_terminal_has_room_for_all() {
        let areas = Areas::of(Rect::new(0, 0, 80, 24), 1, Pane::Servers);
        assert_eq!(Pane::ALL.map(|pane| areas.rows(pane)), [1, 6, 6]);
    }
}
