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
/// @param answerWindow seconds that a challenge may stay unanswered
/// @param minBond wei; lower bound of a challenge's bond
/// @param slack seconds by which the researcher may push deadlines back in total
/// @param proposal SHA-256 of the proposal manifest
/// @param dataset SHA-256 of the dataset manifest, or zero when it is only promised
/// @param attestors who may sign milestone attestations
/// @param quorum how many of them must
/// @param payees who shares what is released
/// @param milestones in the order in which they are attested
/// @param arbiter who can refuse the last tranche and nothing else, zero = nobody
/// @param rulingWindow seconds by which a contest prolongs the last challenge window, 0 iff there is no arbiter
struct Terms {
    address researcher;
    address asset;
    uint128 goal;
    uint128 cap;
    uint40 fundingDeadline;
    uint16 stopBps;
    uint32 challengeWindow;
    uint32 answerWindow;
    uint96 minBond;
    uint32 slack;
    bytes32 proposal;
    bytes32 dataset;
    address[] attestors;
    uint8 quorum;
    Payee[] payees;
    Milestone[] milestones;
    address arbiter;
    uint32 rulingWindow;
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
/// @param challengedAt unix seconds at which the oldest open challenge was made, 0 when none is open
/// @param slackUsed seconds by which deadlines were pushed back
/// @param attested number of milestones attested
/// @param active whether the campaign was activated
/// @param stopped whether a stop vote succeeded, or the arbiter refused the last tranche
/// @param withheld whether it came before the latest attestation's tranche was released
/// @param contested whether the arbiter contests the last attestation; stays when it refused
struct Ledger {
    uint128 pledged;
    uint40 attestedAt;
    uint40 challengedAt;
    uint32 slackUsed;
    uint8 attested;
    bool active;
    bool stopped;
    bool withheld;
    bool contested;
}

/// @dev A challenge to show one chunk of the content that was attested last.
/// @param chunk its number, from 0
/// @param openedAt unix seconds
/// @param challenger who gets the bond back when nobody answers
/// @param bond wei, for whoever answers
struct Challenge {
    uint64 chunk;
    uint40 openedAt;
    address challenger;
    uint96 bond;
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
    /// @param answerBy unix seconds; answered strictly before it, or the campaign has failed
    event Challenged(
        uint8 indexed milestone, uint64 indexed chunk, address indexed challenger, uint256 bond, uint256 answerBy
    );
    event ChallengeAnswered(uint8 indexed milestone, uint64 indexed chunk, address indexed answerer, uint256 bond);
    event BondReturned(
        uint8 indexed milestone, uint64 indexed chunk, address indexed challenger, address recipient, uint256 bond
    );
    /// @param ruleBy unix seconds; ruled strictly before it, or the contest ends without effect
    event Contested(uint256 ruleBy);
    /// @param upheld whether the attestation stands; otherwise the campaign has failed and the last tranche is withheld
    event Ruled(bool upheld);
    event DeadlinesExtended(uint32 bySeconds, uint32 slackUsed);
    event UpdatePosted(bytes32 indexed manifest);

    // ---------------------------------------------------------------- errors

    /// @notice Thrown when the implementation itself is called for something that needs terms: only clones carry them.
    error Campaign_NotAClone();

    /// @notice Thrown by a call that the campaign's present status does not allow.
    /// @param actual the present status
    error Campaign_WrongStatus(Status actual);

    /// @notice Thrown when somebody else calls what only the terms' researcher may.
    /// @param caller who called
    error Campaign_NotResearcher(address caller);

    /// @notice Thrown when a claim comes from another account than the payee's, or names a payee that the terms do not
    /// list.
    /// @param caller who called
    /// @param payee number of the payee as it was asked for, from 0
    error Campaign_NotPayee(address caller, uint256 payee);

    /// @notice Thrown when an account without a pledge votes or challenges.
    /// @param caller who called
    error Campaign_NotBacker(address caller);

    /// @notice Thrown when somebody else than the terms' arbiter contests or rules, or the terms name none.
    /// @param caller who called
    error Campaign_NotArbiter(address caller);

    /// @notice Thrown when money, or the credit for a pledge, would go to the zero address or to the campaign itself.
    /// @param recipient the address given
    error Campaign_BadRecipient(address recipient);

    /// @notice Thrown when nothing arrives with a pledge, nothing is to be taken back, or deadlines are to move by 0
    /// seconds.
    error Campaign_ZeroAmount();

    /// @notice Thrown when coins are pledged to a campaign in a token, or tokens to one in the native coin.
    /// @param asset what the campaign takes: an ERC-20, or the zero address for the native coin
    error Campaign_WrongAsset(address asset);

    /// @notice Thrown by a pledge after the funding deadline, while the funded campaign waits for its activation.
    /// @param fundingDeadline unix seconds; pledged strictly before it
    error Campaign_FundingOver(uint256 fundingDeadline);

    /// @notice Thrown by a pledge that would raise the total above the cap.
    /// @param cap units of the asset
    /// @param wouldBe units that would be pledged in all
    error Campaign_CapExceeded(uint256 cap, uint256 wouldBe);

    /// @notice Thrown when a backer asks for more of a pledge back than there is.
    /// @param pledged the backer's pledge, units of the asset
    /// @param requested units asked for
    error Campaign_PledgeTooSmall(uint256 pledged, uint256 requested);

    /// @notice Thrown when taking a pledge back would let the total fall below a goal that was met.
    /// @param goal units of the asset
    /// @param wouldBe units that would stay pledged in all
    error Campaign_GoalLocked(uint256 goal, uint256 wouldBe);

    /// @notice Thrown by an activation while the total is below the goal.
    /// @param goal units of the asset
    /// @param pledged units pledged in all
    error Campaign_GoalNotMet(uint256 goal, uint256 pledged);

    /// @notice Thrown when somebody other than the researcher activates before the funding deadline and below the cap.
    /// @param fundingDeadline unix seconds from which anyone may activate
    error Campaign_FundingOpen(uint256 fundingDeadline);

    /// @notice Thrown by an attestation of another milestone than the next, by a question about a milestone beyond the
    /// last, and when deadlines are to move although all milestones are attested.
    /// @param expected index of the next milestone in an attestation, of the last one otherwise
    /// @param actual the index given; when deadlines are to move, the number of milestones attested
    error Campaign_WrongMilestone(uint256 expected, uint256 actual);

    /// @notice Thrown when an attestation's kind is not its milestone's.
    /// @param expected the milestone's kind
    /// @param actual the attestation's kind
    error Campaign_WrongKind(MilestoneKind expected, MilestoneKind actual);

    /// @notice Thrown by an attestation while the challenge window of the one before is open.
    /// @param endsAt unix seconds at which the window is over
    error Campaign_WindowOpen(uint256 endsAt);

    /// @notice Thrown when an attestation comes too late for its own expiry.
    /// @param expiry unix seconds; accepted strictly before it
    error Campaign_AttestationExpired(uint256 expiry);

    /// @notice Thrown when an attestation does not follow on the evidence before.
    /// @param expected SHA-256 of the latest evidence manifest, of the proposal before the first
    /// @param actual the attestation's parent
    error Campaign_WrongParent(bytes32 expected, bytes32 actual);

    /// @notice Thrown when a dataset milestone's evidence is not the dataset that the terms fix.
    /// @param expected SHA-256 of the dataset manifest in the terms
    /// @param actual the attestation's evidence
    error Campaign_WrongDataset(bytes32 expected, bytes32 actual);

    /// @notice Thrown when an attestation's evidence is zero.
    error Campaign_EmptyEvidence();

    /// @notice Thrown when only one of an attestation's content root and size is zero, or both are and the milestone is
    /// the weights.
    /// @param contentRoot the attestation's Merkle root over 16 KiB chunks
    /// @param contentSize the attestation's content, bytes
    error Campaign_BadContent(bytes32 contentRoot, uint256 contentSize);

    /// @notice Thrown when an attestation's score is below its milestone's bar.
    /// @param minScore the milestone's bar, millionths of the proposal's metric
    /// @param actual the attestation's score, millionths of the same
    error Campaign_ScoreTooLow(int256 minScore, int256 actual);

    /// @notice Thrown when an attestation has fewer signers than the quorum, or not one signature for each of its
    /// signers.
    /// @param quorum how many attestors must sign
    /// @param actual number of signers, or of signatures where that is not the same
    error Campaign_QuorumNotMet(uint256 quorum, uint256 actual);

    /// @notice Thrown when an attestation's signers include a number that no attestor has.
    /// @param signers bit mask as given; bit i stands for attestor i of the terms
    error Campaign_UnknownSigner(uint256 signers);

    /// @notice Thrown when a signature is not its attestor's, neither by key (ECDSA) nor by contract (ERC-1271).
    /// @param attestor who should have signed
    error Campaign_BadSignature(address attestor);

    /// @notice Thrown when deadlines would move further in all than the terms' slack.
    /// @param slack seconds
    /// @param wouldBe seconds that would be used in all
    error Campaign_SlackExceeded(uint256 slack, uint256 wouldBe);

    /// @notice Thrown by a vote that says what the backer's vote says already.
    /// @param support the vote: whether to stop the campaign
    error Campaign_VoteUnchanged(bool support);

    /// @notice Thrown by a vote in the first day after the activation.
    /// @param opensAt unix seconds from which votes are taken
    error Campaign_VotingNotOpen(uint256 opensAt);

    /// @notice Thrown by a vote once all milestones are attested.
    error Campaign_VotingClosed();

    /// @notice Thrown when a challenge or an answer is about other content than what was attested last.
    /// @param contentRoot the Merkle root given
    /// @param contentSize the size given, bytes
    error Campaign_WrongContent(bytes32 contentRoot, uint256 contentSize);

    /// @notice Thrown by a challenge, a contest or a ruling when the latest attestation's window is over, and by a
    /// challenge when nothing is attested.
    /// @param endedAt unix seconds at which the window was over, 0 without an attestation
    error Campaign_WindowOver(uint256 endedAt);

    /// @notice Thrown by a contest or a ruling before the last milestone is attested.
    error Campaign_NothingToContest();

    /// @notice Thrown by a contest while another one waits for its ruling.
    error Campaign_AlreadyContested();

    /// @notice Thrown by a ruling that no contest asked for.
    error Campaign_NotContested();

    /// @notice Thrown when a challenge names a chunk that the content does not have.
    /// @param chunks number of 16 KiB chunks in the content
    /// @param actual the chunk's number as given, from 0
    error Campaign_ChunkOutOfRange(uint256 chunks, uint256 actual);

    /// @notice Thrown when a chunk of the latest content was challenged before, answered or not.
    /// @param chunk the chunk's number, from 0
    error Campaign_AlreadyChallenged(uint256 chunk);

    /// @notice Thrown when a challenge brings less than `requiredBond`.
    /// @param min wei required in this block
    /// @param actual wei sent
    error Campaign_BondTooSmall(uint256 min, uint256 actual);

    /// @notice Thrown when a challenge brings more than 96 bits can count.
    /// @param max wei that a bond may have
    /// @param actual wei sent
    error Campaign_BondTooLarge(uint256 max, uint256 actual);

    /// @notice Thrown by an attestation while a challenge is open.
    /// @param answerBy unix seconds; the oldest one is answered strictly before it, or the campaign has failed
    error Campaign_ChallengeOpen(uint256 answerBy);

    /// @notice Thrown by an answer while no challenge is open, and by a question about one beyond the last.
    error Campaign_NoChallengeOpen();

    /// @notice Thrown when an answer is not about the oldest open challenge.
    /// @param expected chunk number of the oldest open challenge
    /// @param actual chunk number given
    error Campaign_NotNextChallenge(uint256 expected, uint256 actual);

    /// @notice Thrown when an answer's bytes and path do not lead to the content root as this chunk.
    /// @param chunk the chunk's number, from 0
    error Campaign_WrongChunk(uint256 chunk);

    /// @notice Thrown when the caller has no bond to take back on this chunk, or took it back already.
    /// @param caller who called
    /// @param chunk the chunk's number, from 0
    error Campaign_NotChallenger(address caller, uint256 chunk);

    /// @notice Thrown by a claim when the payee has claimed all that was released to it.
    error Campaign_NothingToClaim();

    /// @notice Thrown when a refund would be zero: no pledge, already refunded, or nothing is left of it.
    /// @param backer whose refund it would be
    error Campaign_NothingToRefund(address backer);

    // -------------------------------------------------------------- backers

    /// @notice Pledge `msg.value` of the native coin, credited to `backer`.
    function pledgeCoin(address backer) external payable;

    /// @notice Pledge up to `amount` of the campaign's ERC-20, credited to `backer` as far as it arrives.
    function pledgeToken(address backer, uint256 amount) external;

    /// @notice As `pledgeToken`, with an EIP-2612 permit of the caller to this campaign. A permit that fails is
    /// ignored: somebody may have submitted it already, and the transfer decides.
    function pledgeTokenWithPermit(address backer, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external;

    /// @notice Take back `amount` of the caller's pledge while the campaign is funding.
    function unpledge(uint256 amount, address recipient) external;

    /// @notice Vote to stop the campaign, or retract that vote, with the caller's whole pledge: from a day after
    /// activation until the weights are attested.
    function voteStop(bool support) external;

    /// @notice Send a failed campaign's refund to the backer it belongs to. Anyone may call.
    function collectRefund(address backer) external;

    /// @notice Send the caller's refund to another address.
    function refundTo(address recipient) external;

    // ----------------------------------------------------------- challenges

    /// @notice Challenge one 16 KiB chunk of the content that was attested last. Any backer may, until the attestation's
    /// window is over, once for each chunk. `msg.value` is the bond, in the native coin whatever the asset is: it goes to
    /// whoever answers. Without an answer for the answer window the campaign fails and the bond comes back.
    /// @param contentRoot as attested
    /// @param contentSize as attested, bytes
    /// @param chunk number of the chunk, from 0
    function challenge(bytes32 contentRoot, uint64 contentSize, uint64 chunk) external payable;

    /// @notice Show the chunk that the oldest open challenge names, and take the bond. Anyone may.
    /// @dev Challenges are answered in the order in which they were made, which is the order of their deadlines.
    /// @param data the chunk's bytes
    /// @param path its RFC 9162 inclusion proof, from the chunk's sibling upwards
    function answer(bytes32 contentRoot, uint64 contentSize, uint64 chunk, bytes calldata data, bytes32[] calldata path)
        external;

    /// @notice Take back the bond of the caller's open challenge once the campaign has failed.
    function returnBond(uint64 chunk, address recipient) external;

    // -------------------------------------------------------------- arbiter

    /// @notice Say that the last attestation is in dispute: its window is longer by the terms' `rulingWindow` until
    /// there is a ruling. Only the terms' arbiter can, while the window is open, again after each ruling.
    function contest() external;

    /// @notice End the contest. Only the terms' arbiter can, before the prolonged window is over.
    /// @param upheld true: the attestation stands, and its window ends as if nobody had contested it. False: the
    /// campaign has failed, and backers get the last tranche back.
    function rule(bool upheld) external;

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
    /// @notice Unix seconds from which votes to stop are taken, a day after activation; 0 before activation.
    function votesFrom() external view returns (uint256);
    /// @notice keccak256(abi.encode(contentRoot, contentSize)) of the latest attestation, zero when there is none.
    function latestContent() external view returns (bytes32);
    /// @notice Number of challenges without an answer. Once the campaign has failed they stay listed, although nothing
    /// can be answered any more.
    function openChallenges() external view returns (uint256);
    /// @notice One of them. Its bond reads 0 once it was returned.
    /// @param position 0 is the one that is to be answered next
    function openChallenge(uint256 position) external view returns (Challenge memory);
    /// @notice Wei that a challenge must bring in a block with this one's base fee. The base price is the larger of the
    /// terms' `minBond` and 1 250 000 gas at that fee. It doubles with every 512 challenges that are open, and rises in
    /// a straight line in between. Many nodes run calls with a base fee of 0 and then start from `minBond`: a client
    /// computes it from the latest block's header, with room for the fee and the queue to grow.
    function requiredBond() external view returns (uint256);
    /// @notice What `collectRefund` would send now; zero unless the campaign has failed.
    function refundable(address backer) external view returns (uint256);
    /// @notice What payee number `payee` could claim now.
    function claimable(uint256 payee) external view returns (uint256);
    /// @notice What payee number `payee` has claimed.
    function claimed(uint256 payee) external view returns (uint256);
    /// @notice EIP-712 digest that attestors sign.
    function attestationDigest(MilestoneAttestation calldata attestation) external view returns (bytes32);
}
