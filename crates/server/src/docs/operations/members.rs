//! Who belongs to an account, and who is asked to.

use super::{Body, CURSOR, DONE, LIMIT, Operation, PLAIN, made, ok};

const GROUP: &str = "Members";

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/v1/accounts/{id}/members",
        id: "listMembers",
        group: GROUP,
        summary: "List an account's members",
        query: &[CURSOR, LIMIT],
        answers: &[ok("A page of members.", "Members")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/accounts/{id}/members",
        id: "addMember",
        group: GROUP,
        summary: "Make somebody there is a member, as an operator",
        about: "Whoever is not known here yet, or is to be asked first, is invited.",
        body: Body::Json {
            schema: "AddMember",
            example: r#"{"user_id": "usr_01k9x3m5q7t2v4w6y8zab1cde3", "role": "admin"}"#,
        },
        answers: &[made("The member.", "Member")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "PATCH",
        path: "/v1/accounts/{id}/members/{user_id}",
        id: "setMemberRole",
        group: GROUP,
        summary: "Give a member another role",
        about: "For operators and for people, not for an account's keys. It is in force on the member's next request; keys of \
                their own (kinds the policy calls `personal`) that may do more than the new role are revoked. Nobody gives or \
                takes a role above their own, and the last owner stays one.",
        body: Body::Json { schema: "SetMemberRole", example: r#"{"role": "viewer"}"# },
        answers: &[ok("The member.", "Member")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/accounts/{id}/members/{user_id}",
        id: "removeMember",
        group: GROUP,
        summary: "Take a member out",
        about: "Once this has returned, their sessions and their own keys in the account are refused. Keys they made for the \
                account stay.",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/accounts/{id}/leave",
        id: "leaveAccount",
        group: GROUP,
        summary: "Leave an account you belong to",
        about: "Its last owner cannot.",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/accounts/{id}/invitations",
        id: "inviteMember",
        group: GROUP,
        summary: "Invite somebody by mail",
        about: "The link in the letter is good for seven days. Inviting the same address again makes the one before void. For \
                operators and for people whose own address is verified.",
        body: Body::Json { schema: "InviteMember", example: r#"{"email": "ann@example.com", "role": "developer"}"# },
        answers: &[made("The invitation.", "Invitation")],
        conflicts: true,
        refuses: &["RATE_LIMITED"],
        ..PLAIN
    },
    Operation {
        path: "/v1/accounts/{id}/invitations",
        id: "listInvitations",
        group: GROUP,
        summary: "List the invitations that still hold",
        query: &[CURSOR, LIMIT],
        answers: &[ok("A page of invitations, oldest first.", "Invitations")],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/accounts/{id}/invitations/{invitation_id}",
        id: "withdrawInvitation",
        group: GROUP,
        summary: "Withdraw an invitation",
        about: "The link in its letter leads nowhere from then on.",
        answers: &[DONE],
        conflicts: true,
        ..PLAIN
    },
    Operation {
        method: "POST",
        path: "/v1/auth/invitations/accept",
        id: "acceptInvitation",
        group: GROUP,
        summary: "Take an invitation, by what was mailed",
        about: "Somebody new chooses a password with it, and so does somebody whose address was never verified; whoever has an \
                account leaves it out and keeps theirs. Nobody is logged in by it.",
        body: Body::Json {
            schema: "AcceptInvitation",
            example: r#"{"token": "kwi_…", "password": "seven odd green kettles"}"#,
        },
        answers: &[ok("Who you are in the account now.", "Member")],
        conflicts: true,
        refuses: &["FORBIDDEN", "RATE_LIMITED"],
        ..PLAIN
    },
];
