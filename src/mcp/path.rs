//! The way through a JSON-RPC message: which containers are followed, and
//! which members are known where.

use super::keys::{
    EnvelopeKey, ErrorDataKey, ErrorKey, InfoKey, ItemKey, MetaKey, ParamKey, ResultKey,
};
use super::message::{List, Who};

/// What a container on the path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Batch,
    Envelope,
    Params,
    Meta,
    Info(Who),
    Reference,
    ParamMessage,
    Result,
    List(List),
    Element(List),
    Versions,
    InputRequests,
    InputRequest,
    Completion,
    Error,
    ErrorData,
}

/// A known member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Member {
    #[default]
    Unknown,
    Envelope(EnvelopeKey),
    Param(ParamKey),
    Meta(MetaKey),
    Info(Who, InfoKey),
    Result(ResultKey),
    Item(ItemKey),
    Error(ErrorKey),
    ErrorData(ErrorDataKey),
}

/// The containers from the top level to the innermost followed one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Path {
    places: [Option<Place>; 6],
    len: usize,
}

impl Path {
    pub(super) fn innermost(&self) -> Option<Place> {
        self.places.get(self.len.checked_sub(1)?).copied().flatten()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn contains(&self, place: Place) -> bool {
        self.places.get(..self.len).is_some_and(|places| places.contains(&Some(place)))
    }

    pub(super) fn push(&mut self, place: Place) -> bool {
        let slot = self.places.get_mut(self.len);
        let has_room = slot.is_some();
        if let Some(slot) = slot {
            *slot = Some(place);
            self.len += 1;
        }
        has_room
    }

    pub(super) fn pop(&mut self) -> Option<Place> {
        let place = self.innermost();
        self.len = self.len.saturating_sub(1);
        place
    }
}

impl Member {
    /// What the container is that the member holds, if it is followed.
    pub(super) fn place(self, object: bool) -> Option<Place> {
        use Member::{Envelope, Error, ErrorData, Meta, Param, Result};
        if !object {
            return match self {
                Result(ResultKey::SupportedVersions) | ErrorData(ErrorDataKey::Supported) => {
                    Some(Place::Versions)
                }
                Result(key) => list_of(key).map(Place::List),
                _ => None,
            };
        }
        Some(match self {
            Envelope(EnvelopeKey::Params) => Place::Params,
            Envelope(EnvelopeKey::Result) => Place::Result,
            Envelope(EnvelopeKey::Error) => Place::Error,
            Param(ParamKey::Meta) | Result(ResultKey::Meta) => Place::Meta,
            Param(ParamKey::ClientInfo) => Place::Info(Who::Client),
            Param(ParamKey::Ref) => Place::Reference,
            Param(ParamKey::Message) => Place::ParamMessage,
            Meta(MetaKey::ClientInfo) => Place::Info(Who::MetaClient),
            Meta(MetaKey::ServerInfo) => Place::Info(Who::MetaServer),
            Result(ResultKey::ServerInfo) => Place::Info(Who::Server),
            Result(ResultKey::InputRequests) => Place::InputRequests,
            Result(ResultKey::Completion) => Place::Completion,
            Error(ErrorKey::Data) => Place::ErrorData,
            _ => return None,
        })
    }
}

impl Place {
    /// Whether its known members are those of [`ItemKey`].
    pub(super) fn holds_items(self) -> bool {
        matches!(
            self,
            Self::Element(_)
                | Self::Reference
                | Self::ParamMessage
                | Self::InputRequest
                | Self::Completion
        )
    }
}

/// The list that a member of `result` holds.
pub(super) fn list_of(key: ResultKey) -> Option<List> {
    Some(match key {
        ResultKey::Tools => List::Tools,
        ResultKey::Content => List::Content,
        ResultKey::Resources => List::Resources,
        ResultKey::ResourceTemplates => List::ResourceTemplates,
        ResultKey::Prompts => List::Prompts,
        ResultKey::Contents => List::Contents,
        ResultKey::Messages => List::Messages,
        ResultKey::Roots => List::Roots,
        _ => return None,
    })
}
