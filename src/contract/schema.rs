//! The JSON Schemas of the model's types, for OpenAPI.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat,
        schema::{AdditionalProperties, SchemaType, Type},
    },
};

use super::{Cursor, FirstMembers};
use crate::{
    inbox::RoomSummary,
    model::{
        Access, Call, CallId, CallState, Changed, ClientMessageId, Conversation, EncodedMessage,
        EndedReason, MAX_FIRST_MEMBERS, MAX_IDENTIFIER_BYTES, MAX_REACTION_BYTES, MAX_TITLE_BYTES,
        Media, Metadata, Party, PartyId, Queued, Reaction, Read, Revision, Role, RoomId,
        RoomMember, RoomSettings, Seq, Status, Stored, Title, UserId, WholeNumber,
    },
};

/// A message, as every transport gives it. Fields beyond `clientMessageId` are there only when set.
#[derive(ToSchema)]
#[schema(as = Message, rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes the JSON")]
struct MessageSchema {
    /// UUID version 7.
    #[schema(format = "uuid")]
    id: String,
    room_id: RoomId,
    /// Its place in the room: 1, 2, 3, ...
    seq: Seq,
    /// Its author.
    user_id: UserId,
    /// The author again, when acting as an operator.
    #[schema(required = true)]
    operator_id: Option<UserId>,
    /// The text; empty once the message is deleted.
    message: String,
    /// The time at which the server accepted it.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The sender's own identifier of it.
    #[schema(required = true)]
    client_message_id: Option<ClientMessageId>,
    /// The message that it answers.
    #[schema(nullable = false)]
    reply_to: Option<Seq>,
    #[schema(nullable = false)]
    metadata: Option<Metadata>,
    /// Its newest change.
    #[schema(nullable = false)]
    revision: Option<Revision>,
    #[schema(format = DateTime, nullable = false)]
    edited_at: Option<String>,
    #[schema(format = DateTime, nullable = false)]
    deleted_at: Option<String>,
    #[schema(nullable = false)]
    pinned: Option<bool>,
    #[schema(nullable = false)]
    reactions: Option<Vec<ReactionSchema>>,
}

/// A reaction to a message, with the first users who have it.
#[derive(ToSchema)]
#[schema(as = ReactionCount, rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes the JSON")]
struct ReactionSchema {
    reaction: Reaction,
    count: u64,
    user_ids: Vec<UserId>,
}

/// A room in a user's list.
#[derive(ToSchema)]
#[schema(as = RoomSummary, rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes the JSON")]
struct SummarySchema {
    room_id: RoomId,
    last_seq: Seq,
    #[schema(nullable = false)]
    title: Option<Title>,
    /// The newest message; null in a room without messages.
    #[schema(required = true)]
    last_message: Option<EncodedMessage>,
    /// The newest message read or written by the user.
    read_seq: Seq,
    /// The number of messages after it.
    unread: u64,
    muted: bool,
}

/// The settings of a room that somebody created.
#[derive(ToSchema)]
#[schema(as = RoomSettings, rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes the JSON")]
struct SettingsSchema {
    #[schema(nullable = false)]
    title: Option<Title>,
    #[schema(nullable = false)]
    metadata: Option<Metadata>,
    access: Access,
    #[schema(nullable = false)]
    conversation: Option<Conversation>,
    /// The latest call, if there was one.
    #[schema(nullable = false)]
    call: Option<Call>,
    /// The room's revision when the settings, the members, the conversation or the call changed last.
    revision: Revision,
}

/// A call between members of a room.
#[derive(ToSchema)]
#[schema(as = Call, rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes the JSON")]
struct CallSchema {
    call_id: CallId,
    state: CallState,
    media: Media,
    /// The user who started it.
    started_by: UserId,
    #[schema(format = DateTime)]
    started_at: String,
    /// The users whom it rings; not there when it rings everybody in the room.
    #[schema(nullable = false)]
    to: Option<Vec<UserId>>,
    /// The users who have declined, while it rings.
    #[schema(nullable = false)]
    rejected_by: Option<Vec<UserId>>,
    /// The clients in it, in the order in which they joined.
    parties: Vec<Party>,
    /// The time when the second party joined first.
    #[schema(format = DateTime, nullable = false)]
    answered_at: Option<String>,
    /// The time at which it ends by itself, while it rings or has one party.
    #[schema(format = DateTime, nullable = false)]
    expires_at: Option<String>,
    #[schema(format = DateTime, nullable = false)]
    ended_at: Option<String>,
    #[schema(nullable = false)]
    ended_reason: Option<EndedReason>,
}

/// A client in a call.
#[derive(ToSchema)]
#[schema(as = Party, rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes the JSON")]
struct PartySchema {
    party_id: PartyId,
    user_id: UserId,
}

/// A conversation of operators with a customer.
#[derive(ToSchema)]
#[schema(as = Conversation, rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes the JSON")]
struct ConversationSchema {
    state: Status,
    /// The operator who has claimed it.
    #[schema(nullable = false)]
    operator_id: Option<UserId>,
    /// Counts the changes, from 1 on.
    version: WholeNumber,
    #[schema(format = DateTime)]
    changed_at: String,
    /// The user who made the last change; not there for the server itself.
    #[schema(nullable = false)]
    changed_by: Option<UserId>,
}

/// A conversation with its place in the queue.
#[derive(ToSchema)]
#[schema(as = QueuedConversation, rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes the JSON")]
struct QueuedSchema {
    conversation: Conversation,
    /// The time of the oldest message of a customer without an answer; not there when all are answered.
    #[schema(format = DateTime, nullable = false)]
    waiting_since: Option<String>,
    /// The room's newest `seq`. Of two states, the later one has a larger `version` or a larger `lastSeq`.
    last_seq: Seq,
}

/// A member of a room that somebody created.
#[derive(ToSchema)]
#[schema(as = RoomMember, rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes the JSON")]
struct MemberSchema {
    user_id: UserId,
    role: Role,
}

/// A reader's position.
#[derive(ToSchema)]
#[schema(as = Read, rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes the JSON")]
struct ReadSchema {
    user_id: UserId,
    /// The newest message read.
    seq: Seq,
}

/// The outcome of a send.
#[derive(ToSchema)]
#[schema(as = Sent)]
#[expect(dead_code, reason = "it only describes the JSON")]
struct SentSchema {
    /// The message, or the first one with the same `clientMessageId`.
    message: EncodedMessage,
    /// True when an earlier send stored it.
    duplicate: bool,
}

/// The outcome of a change.
#[derive(ToSchema)]
#[schema(as = Changed)]
#[expect(dead_code, reason = "it only describes the JSON")]
struct ChangedSchema {
    /// The message in its present state.
    message: EncodedMessage,
    /// False when the message was in the wanted state already.
    changed: bool,
}

/// Gives a type the schema of another, by whose name it is known.
macro_rules! described_by {
    ($($type:ty => $schema:ty),* $(,)?) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                <$schema>::schema()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                <$schema>::name()
            }

            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                <$schema>::schemas(schemas);
            }
        }
    )*};
}

described_by! {
    EncodedMessage => MessageSchema,
    RoomSummary => SummarySchema,
    RoomSettings => SettingsSchema,
    Conversation => ConversationSchema,
    Call => CallSchema,
    Party => PartySchema,
    Queued => QueuedSchema,
    RoomMember => MemberSchema,
    Read => ReadSchema,
    Stored<EncodedMessage> => SentSchema,
    Changed<EncodedMessage> => ChangedSchema,
}

/// Gives types schemas made by expressions.
macro_rules! schemas {
    ($($type:ident: $schema:expr),* $(,)?) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $type {}
    )*};
}

schemas! {
    RoomId: text(1, MAX_IDENTIFIER_BYTES, "A room's identifier: 1 to 128 bytes of UTF-8, without control and invisible characters and without spaces at its ends."),
    UserId: text(1, MAX_IDENTIFIER_BYTES, "A user's identifier: 1 to 128 bytes of UTF-8, without control and invisible characters and without spaces at its ends."),
    ClientMessageId: text(1, MAX_IDENTIFIER_BYTES, "The sender's own identifier of a message: a send that repeats it is stored once."),
    CallId: text(1, MAX_IDENTIFIER_BYTES, "A call's identifier, made by the client that starts it."),
    PartyId: text(1, MAX_IDENTIFIER_BYTES, "The identifier of a client's part in calls, made by the client."),
    Reaction: text(1, MAX_REACTION_BYTES, "An emoji, or the name of a picture: 1 to 64 bytes of UTF-8."),
    Title: text(0, MAX_TITLE_BYTES, "A room's title, at most 256 bytes of UTF-8; an empty one stands for none."),
    Cursor: ObjectBuilder::new().schema_type(Type::String).description(Some("The place of the next page: a text without a meaning.")),
    Seq: count("A message's place in its room: 1, 2, 3, ...; 0 stands before the first."),
    Revision: count("A room's count of changes: 1, 2, 3, ...; 0 before the first."),
    WholeNumber: count("A whole number, 0 or larger."),
    Metadata: ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .description(Some("An object of the sender's own, at most 4,096 bytes of JSON.")),
    Access: choice(&["open", "members"], "Those who may be in the room: all but the removed, or the members only."),
    Status: choice(&["open", "claimed", "closed"], "The state of a conversation: no operator has it, one has it, it has ended."),
    CallState: choice(&["ringing", "active", "ended"], "The state of a call: nobody but its starter has joined, somebody has, it is over."),
    Media: choice(&["audio", "video"], "The kind of a call, as its starter wishes it."),
    EndedReason: choice(&["missed", "cancelled", "rejected", "left", "alone", "lost"], "The reason why a call is over."),
    Role: choice(&["member", "moderator", "owner"], "A member's rights. A higher role includes the lower ones."),
}

impl PartialSchema for FirstMembers {
    fn schema() -> RefOr<Schema> {
        utoipa::openapi::ArrayBuilder::new()
            .items(UserId::schema())
            .max_items(Some(MAX_FIRST_MEMBERS))
            .into()
    }
}

impl ToSchema for FirstMembers {}

/// Returns the schema of a text. JSON Schema counts characters, so the real bound in bytes is told in
/// words besides.
fn text(min: usize, max: usize, description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(min))
        .max_length(Some(max))
        .description(Some(description))
}

/// Returns the schema of a number that counts up.
fn count(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0))
        .description(Some(description))
}

fn choice(names: &[&str], description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names.iter().copied()))
        .description(Some(description))
}
