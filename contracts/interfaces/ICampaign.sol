// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev What a milestone's evidence is about. The order of kinds within a campaign is
/// DATASET… → CHECKPOINT… → exactly one WEIGHTS.
enum MilestoneKind {
    DATASET,
    CHECKPOINT,
    WEIGHTS
}

/// @dev Where a campaign stands; a pure function of storage and time.
enum Status {
    Funding,
    Active,
    Completed,
    Failed
}

/// @param account who may claim
/// @param bps share of every released tranche, basis points
struct Payee {
    address account;
    uint16 bps;
}

/// @param kind what the evidence is about
/// @param bps share of the pool released by this milestone, basis points
/// @param deadline unix seconds; attested strictly before it
/// @param minScore the proposal's metric in millionths, higher is better; attestations below are refused
struct Milestone {
    MilestoneKind kind;
    uint16 bps;
    uint40 deadline;
    int64 minScore;
}

/// @dev Everything a backer agrees to. Immutable; stored in the campaign's own bytecode.
/// @param researcher opens the campaign, may close funding early and use the slack
/// @param asset zero address = native coin, else an ERC-20
/// @param goal smallest unit of the asset; below it every pledge is refunded
/// @param cap smallest unit of the asset; pledges above it are refused
/// @param fundingDeadline unix seconds; pledged strictly before it
/// @param stopBps share of the pledges that stops the campaign, basis points
/// @param challengeWindow seconds between an attestation and its payout
/// @param responseWindow seconds that a challenge may stay unanswered
/// @param minBond wei; lower bound of a challenge's bond
/// @param slack seconds by which the researcher may push deadlines back in total
/// @param proposal SHA-256 of the proposal manifest
/// @param dataset SHA-256 of the dataset manifest, or zero when it is only promised
/// @param attestors who may sign milestone attestations
/// @param quorum how many of them must
/// @param payees who shares what is released
/// @param milestones in the order in which they are attested
struct Terms {
    address researcher;
    address asset;
    uint128 goal;
    uint128 cap;
    uint40 fundingDeadline;
    uint16 stopBps;
    uint32 challengeWindow;
    uint32 responseWindow;
    uint96 minBond;
    uint32 slack;
    bytes32 proposal;
    bytes32 dataset;
    address[] attestors;
    uint8 quorum;
    Payee[] payees;
    Milestone[] milestones;
}

/// @dev EIP-712 struct signed by attestors.
/// @param milestone index in the terms
/// @param kind must equal the milestone's kind
/// @param evidence SHA-256 of the evidence manifest
/// @param parent evidence of the previous milestone, the proposal for the first one
/// @param contentRoot RFC 9162 Merkle root over the content's 16 KiB chunks, zero iff contentSize is zero
/// @param contentSize bytes
/// @param score the proposal's metric in millionths, higher is better
/// @param expiry unix seconds; accepted strictly before it
struct MilestoneAttestation {
    uint8 milestone;
    MilestoneKind kind;
    bytes32 evidence;
    bytes32 parent;
    bytes32 contentRoot;
    uint64 contentSize;
    int64 score;
    uint64 expiry;
}

/// @dev The campaign's mutable record, one storage slot.
/// @param pledged units pledged and not taken back; frozen once the campaign leaves Funding
/// @param attestedAt unix seconds of the latest attestation, 0 when there is none
/// @param stoppedAt unix seconds of the successful stop vote, 0 when there is none
/// @param slackUsed seconds by which deadlines were pushed back
/// @param attested number of milestones attested
/// @param active whether the campaign was activated
struct Ledger {
    uint128 pledged;
    uint40 attestedAt;
    uint40 stoppedAt;
    uint32 slackUsed;
    uint8 attested;
    bool active;
}

/// @title An escrow for one open model: pledges in, milestone tranches or refunds out
/// @notice No owner, no upgrade, no fee. Terms never change. Every time boundary is half open:
/// a deadline `d` admits timestamps `t < d`; a window from `a` of length `w` is over at `t >= a + w`.
interface ICampaign {
    // ---------------------------------------------------------------- events

    event Pledged(address indexed backer, address indexed payer, uint256 amount);
    event Unpledged(address indexed backer, address indexed recipient, uint256 amount);
    event Activated(uint256 pledged, bytes32 trainingSeed);
    /// @param signers bit i is set when attestor i of the terms signed
    event MilestoneAttested(
        uint8 indexed milestone, bytes32 indexed evidence, MilestoneAttestation attestation, uint256 signers
    );
    event Claimed(uint256 indexed payee, address indexed recipient, uint256 amount);
    event Refunded(address indexed backer, address indexed recipient, uint256 amount);
    event StopVoted(address indexed backer, bool support, uint256 weight, uint256 totalSupport);
    event Stopped(uint256 totalSupport);
    event DeadlinesExtended(uint32 bySeconds, uint32 slackUsed);
    event UpdatePosted(bytes32 indexed manifest);

    // ---------------------------------------------------------------- errors

    error Campaign_NotAClone();
    error Campaign_WrongStatus(Status actual);
    error Campaign_NotResearcher(address caller);
    error Campaign_NotPayee(address caller, uint256 payee);
    error Campaign_NotBacker(address caller);
    error Campaign_BadRecipient(address recipient);
    error Campaign_ZeroAmount();
    error Campaign_WrongAsset(address asset);
    error Campaign_FundingOver(uint256 fundingDeadline);
    error Campaign_CapExceeded(uint256 cap, uint256 wouldBe);
    error Campaign_PledgeTooSmall(uint256 pledged, uint256 requested);
    error Campaign_GoalLocked(uint256 goal, uint256 wouldBe);
    error Campaign_GoalNotMet(uint256 goal, uint256 pledged);
    error Campaign_FundingOpen(uint256 fundingDeadline);
    error Campaign_WrongMilestone(uint256 expected, uint256 actual);
    error Campaign_WrongKind(MilestoneKind expected, MilestoneKind actual);
    error Campaign_WindowOpen(uint256 endsAt);
    error Campaign_AttestationExpired(uint256 expiry);
    error Campaign_WrongParent(bytes32 expected, bytes32 actual);
    error Campaign_WrongDataset(bytes32 expected, bytes32 actual);
    error Campaign_EmptyEvidence();
    error Campaign_BadContent(bytes32 contentRoot, uint256 contentSize);
    error Campaign_ScoreTooLow(int256 minScore, int256 actual);
    error Campaign_QuorumNotMet(uint256 quorum, uint256 actual);
    error Campaign_UnknownSigner(uint256 signers);
    error Campaign_BadSignature(address attestor);
    error Campaign_SlackExceeded(uint256 slack, uint256 wouldBe);
    error Campaign_VoteUnchanged(bool support);
    error Campaign_VotingClosed();
    error Campaign_NothingToClaim();
    error Campaign_NothingToRefund(address backer);

    // -------------------------------------------------------------- backers

    /// @notice Pledge `msg.value` of the native coin, credited to `backer`.
    function pledge(address backer) external payable;

    /// @notice Pledge up to `amount` of the campaign's ERC-20, credited to `backer` as far as it arrives.
    function pledgeToken(address backer, uint256 amount) external;

    /// @notice As `pledgeToken`, with an EIP-2612 permit of the caller to this campaign. A permit that fails is
    /// ignored: somebody may have submitted it already, and the transfer decides.
    function pledgeTokenWithPermit(address backer, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external;

    /// @notice Take back `amount` of the caller's pledge while the campaign is funding.
    function unpledge(uint256 amount, address recipient) external;

    /// @notice Vote to stop the campaign, or retract that vote, with the caller's whole pledge.
    function voteStop(bool support) external;

    /// @notice Send a failed campaign's refund to the backer it belongs to. Anyone may call.
    function refund(address backer) external;

    /// @notice Send the caller's refund to another address.
    function refundTo(address recipient) external;

    // ----------------------------------------------------------- researcher

    /// @notice Leave Funding: anyone once the funding deadline has passed with the goal met or the cap is reached,
    /// the researcher as soon as the goal is met. Publishes the training seed.
    function activate() external;

    /// @notice Push the current and all later deadlines back by `bySeconds`, within the terms' slack.
    function extendDeadlines(uint32 bySeconds) external;

    /// @notice Publish the hash of an update's manifest. Changes nothing else.
    function postUpdate(bytes32 manifest) external;

    // ------------------------------------------------------ attestors, payees

    /// @notice Submit a milestone attestation. Anyone may call; the signatures decide.
    /// @param signers bit i is set when attestor i of the terms signed
    /// @param signatures one for each set bit, lowest bit first: 65-byte ECDSA or ERC-1271
    function attest(MilestoneAttestation calldata attestation, uint256 signers, bytes[] calldata signatures) external;

    /// @notice Collect what was released to payee number `payee`, to an address of its choice.
    function claim(uint256 payee, address recipient) external;

    // ---------------------------------------------------------------- views

    function terms() external view returns (Terms memory);
    function status() external view returns (Status);
    function ledger() external view returns (Ledger memory);
    /// @notice Seed of initial weights and data order; zero until activation.
    function trainingSeed() external view returns (bytes32);
    /// @notice Evidence of the latest attestation, the proposal before the first one.
    function latestEvidence() external view returns (bytes32);
    /// @notice Deadline of a milestone with the slack used so far, unix seconds.
    function deadlineOf(uint256 milestone) external view returns (uint256);
    /// @notice Units released to payees so far (attested, window over).
    function released() external view returns (uint256);
    function pledgeOf(address backer) external view returns (uint256);
    function hasVotedStop(address backer) external view returns (bool);
    /// @notice Units whose backers vote to stop.
    function stopSupport() external view returns (uint256);
    /// @notice What `refund` would send now; zero unless the campaign has failed.
    function refundable(address backer) external view returns (uint256);
    /// @notice What payee number `payee` could claim now.
    function claimable(uint256 payee) external view returns (uint256);
    /// @notice What payee number `payee` has claimed.
    function claimed(uint256 payee) external view returns (uint256);
    /// @notice EIP-712 digest that attestors sign.
    function attestationDigest(MilestoneAttestation calldata attestation) external view returns (bytes32);
}
