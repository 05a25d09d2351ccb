//! Values parsed at the edge: all code inside can trust them.

mod call;
mod change;
mod conversation;
mod entry;
mod ids;
mod membership;
mod message;
mod node;
mod number;
mod pattern;
mod relayed;
mod room;
mod signal;
mod state;
mod visible;

pub use self::{
    call::{Call, CallState, CallStep, DueCall, EndedReason, MAX_RUNG, Media, Part, Party},
    change::{Action, Change, Edit, Refusal, Revised},
    conversation::{
        Conversation, ConversationChanged, Handover, ListedConversation, Queued, Speaker, Status,
        Step,
    },
    entry::{Committed, Entry, Outcome, Settled},
    ids::{
        CallId, ClientMessageId, InvalidIdentifier, MAX_IDENTIFIER_BYTES, PartyId, RoomId, Seq,
        SignalType, UserId,
    },
    membership::{Followed, Latest, ListedRoom, MAX_FOLLOWED, Mark, Marked, Read},
    message::{Body, Changed, Draft, EncodedMessage, Message, Stored},
    node::{MAX_BUSIEST, NodeReport, PoolLoad, RoomLoad},
    number::WholeNumber,
    pattern::{RoomPattern, RoomPatterns},
    relayed::{MAX_SIGNAL_DATA_BYTES, Recipient, Relayed, SignalData},
    room::{
        Access, Authority, Exclusion, MAX_FIRST_MEMBERS, MAX_TITLE_BYTES, Membership, NewSettings,
        Role, RoomAction, RoomChange, RoomChanged, RoomInfo, RoomMember, RoomRefusal, RoomSettings,
        Standing, Title,
    },
    signal::{Clients, MAX_ROOMS_NAMED, Signal},
    state::{
        MAX_METADATA_BYTES, MAX_METADATA_DEPTH, MAX_REACTION_BYTES, MAX_REACTIONS, MAX_REACTORS,
        Metadata, Reaction, Reactors, Revision, State,
    },
};
pub(crate) use self::{ids::FromStore, message::iso8601_millis, state::optional_time};
