// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {
    Challenge,
    ICampaign,
    Ledger,
    Milestone,
    MilestoneAttestation,
    MilestoneKind,
    Status,
    Terms
} from "./interfaces/ICampaign.sol";
import {ChallengePrice} from "./libraries/ChallengePrice.sol";
import {ContentProof} from "./libraries/ContentProof.sol";
import {PackedLedger} from "./libraries/PackedLedger.sol";
import {PackedTerms} from "./libraries/PackedTerms.sol";

/// @title Campaign
/// @notice The implementation behind every campaign. It runs only through clones that carry their terms in their code;
/// called directly it refuses.
/// @dev NOT checked, because no contract can:
/// - that attested evidence exists or is true: the quorum's signatures say so, and backers have the window to object;
/// - that the clone came from the factory: ask `CampaignFactory.isCampaign` before trusting an address;
/// - that the researcher does not choose the moment of `activate` for its training seed's sake: whoever minds waits for
///   the funding deadline or the cap, when everybody can activate;
/// - that a token keeps balances still between transfers: rebasing tokens are unsupported.
/// The balance is read only around an incoming token transfer. Ether forced in or tokens donated count for nothing.
contract Campaign is ICampaign, IERC5267, ReentrancyGuardTransient {
    using Memory for bytes;
    using PackedLedger for PackedLedger.Word;
    using PackedTerms for Memory.Slice;
    using SafeERC20 for IERC20;

    bytes32 private constant DOMAIN_TYPE_HASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant ATTESTATION_TYPE_HASH = keccak256(
        "MilestoneAttestation(uint8 milestone,uint8 kind,bytes32 evidence,bytes32 parent,bytes32 contentRoot,uint64 contentSize,int64 score,uint64 expiry)"
    );
    string private constant DOMAIN_NAME = "LlamaFund Campaign";
    string private constant DOMAIN_VERSION = "1";

    uint256 private constant BPS = 10_000;
    uint256 private constant VOTED_STOP = 1 << 128;
    /// @dev Money that comes in to vote has to stay in for so long, which a loan of one transaction cannot. Less than the
    /// factory's MIN_CHALLENGE_WINDOW, so that no tranche is released before backers could vote.
    uint256 private constant VOTE_DELAY = 1 days;
    /// @dev Bounds what each contract wallet can burn. What several of them return is copied one after the other, at a
    /// cost that grows with the square of the sum: whoever submits leaves such a signer out, as one that refuses.
    uint256 private constant WALLET_GAS = 500_000;
    /// @dev More gas than an answer can cost. EIP-7623 charges 40 for each of the 18 212 bytes of a call with a whole
    /// chunk and the 50 hashes of the deepest path that 64 bits of size allow, and the transaction 21 000: 749 480 in
    /// all, above what execution takes. The rest is room for the 64 a byte of EIP-7976 (1 186 568), for tips, and for
    /// the answers that come second.
    uint256 private constant ANSWER_GAS = 1_250_000;

    /// @dev The only immutable, so that the code differs between chains in nothing but this address.
    address private immutable SELF = address(this);

    /// @param support units whose backers vote to stop: at most what is pledged, which has 128 bits
    /// @param opensAt unix seconds from which votes are taken, 0 before activation; block timestamps outlast 40 bits
    struct Votes {
        uint128 support;
        uint40 opensAt;
    }

    struct Bond {
        address challenger;
        uint96 amount;
    }

    /// @dev Challenges in the order in which they were made. `next` is the oldest without an answer.
    struct Queue {
        uint128 next;
        uint128 end;
    }

    struct QueuedChallenge {
        uint64 chunk;
        uint40 openedAt;
    }

    PackedLedger.Word private _ledger;
    bytes32 private _latestEvidence;
    /// @inheritdoc ICampaign
    bytes32 public latestContent;
    /// @dev A pledge in the lower 128 bits, `VOTED_STOP` above: one slot a backer.
    mapping(address backer => uint256) private _backers;
    /// @inheritdoc ICampaign
    bytes32 public trainingSeed;
    Votes private _votes;
    /// @inheritdoc ICampaign
    mapping(uint256 payee => uint256) public claimed;
    Queue private _queue;
    mapping(uint256 number => QueuedChallenge) private _challenges;
    /// @dev Stays when it was paid out, so that nobody challenges the same chunk of a milestone twice.
    mapping(uint256 attested => mapping(uint256 chunk => Bond)) private _bonds;

    // =============================================================== backers

    /// @inheritdoc ICampaign
    /// @dev Needs no guard: it calls nobody, and money that arrives in the middle of another call is money all the same.
    function pledgeCoin(address backer) external payable {
        Memory.Slice t = _terms();
        PackedLedger.Word l = _ledger;

        // Check
        if (t.asset() != address(0)) {
            revert Campaign_WrongAsset(t.asset());
        }
        uint256 cap = _checkPledge(t, l, backer);

        // Effect
        _credit(l, cap, backer, msg.value);
    }

    /// @inheritdoc ICampaign
    function pledgeToken(address backer, uint256 amount) external nonReentrant {
        _pledgeToken(_terms(), backer, amount);
    }

    /// @inheritdoc ICampaign
    function pledgeTokenWithPermit(address backer, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        Memory.Slice t = _terms();
        if (t.asset() == address(0)) {
            revert Campaign_WrongAsset(address(0));
        }
        // Whoever saw the permit in the mempool can have used it first. What counts is the allowance, and the transfer
        // below cannot succeed without it.
        try IERC20Permit(t.asset()).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _pledgeToken(t, backer, amount);
    }

    /// @inheritdoc ICampaign
    function unpledge(uint256 amount, address recipient) external nonReentrant {
        Memory.Slice t = _terms();
        PackedLedger.Word l = _ledger;

        // Check
        _requireStatus(t, l, Status.Funding);
        _checkRecipient(recipient);
        if (amount == 0) {
            revert Campaign_ZeroAmount();
        }
        uint256 own = _backers[msg.sender];
        if (amount > own) {
            revert Campaign_PledgeTooSmall({pledged: own, requested: amount});
        }
        uint256 rest = l.pledged() - amount;
        uint256 goal = t.goal();
        if (l.pledged() >= goal && rest < goal) {
            revert Campaign_GoalLocked({goal: goal, wouldBe: rest});
        }

        // Effect
        // Nobody has voted yet: the slot is the pledge alone.
        _ledger = l.withPledged(rest);
        _backers[msg.sender] = own - amount;
        emit Unpledged({backer: msg.sender, recipient: recipient, amount: amount});

        // Interaction
        _send(t, recipient, amount);
    }

    /// @inheritdoc ICampaign
    function voteStop(bool support) external {
        Memory.Slice t = _terms();
        PackedLedger.Word l = _ledger;
        uint256 own = pledgeOf(msg.sender);

        // Check
        _requireStatus(t, l, Status.Active);
        if (l.attested() == t.milestoneCount()) {
            revert Campaign_VotingClosed();
        }
        Votes memory votes = _votes;
        if (block.timestamp < votes.opensAt) {
            revert Campaign_VotingNotOpen(votes.opensAt);
        }
        if (own == 0) {
            revert Campaign_NotBacker(msg.sender);
        }
        if (hasVotedStop(msg.sender) == support) {
            revert Campaign_VoteUnchanged(support);
        }

        // Effect
        uint256 total = support ? votes.support + own : votes.support - own;
        _votes.support = uint128(total);
        _backers[msg.sender] = support ? own | VOTED_STOP : own;
        emit StopVoted({backer: msg.sender, support: support, weight: own, totalSupport: total});
        if (support && total * BPS >= l.pledged() * t.stopBps()) {
            _ledger = l.withStop({withholding: _withholds(t, l)});
            emit Stopped(total);
        }
    }

    /// @inheritdoc ICampaign
    function collectRefund(address backer) external nonReentrant {
        _refund(backer, backer);
    }

    /// @inheritdoc ICampaign
    function refundTo(address recipient) external nonReentrant {
        _checkRecipient(recipient);
        _refund(msg.sender, recipient);
    }

    // ============================================================ challenges

    /// @inheritdoc ICampaign
    /// @dev Needs no guard: it calls nobody.
    function challenge(bytes32 contentRoot, uint64 contentSize, uint64 chunk) external payable {
        Memory.Slice t = _terms();
        PackedLedger.Word l = _ledger;

        // Check
        _requireStatus(t, l, Status.Active);
        if (pledgeOf(msg.sender) == 0) {
            revert Campaign_NotBacker(msg.sender);
        }
        _checkWindow(t, l);
        _checkContent(contentRoot, contentSize);
        uint256 chunks = ContentProof.chunkCount(contentSize);
        if (chunk >= chunks) {
            revert Campaign_ChunkOutOfRange({chunks: chunks, actual: chunk});
        }
        Bond storage bond = _bonds[l.attested()][chunk];
        if (bond.challenger != address(0)) {
            revert Campaign_AlreadyChallenged(chunk);
        }
        Queue memory queue = _queue;
        uint256 min = _requiredBond(t, queue);
        if (msg.value < min) {
            revert Campaign_BondTooSmall({min: min, actual: msg.value});
        }
        if (msg.value > type(uint96).max) {
            revert Campaign_BondTooLarge({max: type(uint96).max, actual: msg.value});
        }

        // Effect
        if (l.challengedAt() == 0) {
            _ledger = l.withChallengedAt(block.timestamp);
        }
        (bond.challenger, bond.amount) = (msg.sender, uint96(msg.value));
        _challenges[queue.end] = QueuedChallenge({chunk: chunk, openedAt: uint40(block.timestamp)});
        _queue.end = queue.end + 1;
        emit Challenged({
            milestone: uint8(l.attested() - 1),
            chunk: chunk,
            challenger: msg.sender,
            bond: msg.value,
            answerBy: block.timestamp + t.answerWindow()
        });
    }

    /// @inheritdoc ICampaign
    function answer(bytes32 contentRoot, uint64 contentSize, uint64 chunk, bytes calldata data, bytes32[] calldata path)
        external
        nonReentrant
    {
        PackedLedger.Word l = _ledger;

        // Check
        _requireStatus(_terms(), l, Status.Active);
        if (l.challengedAt() == 0) {
            revert Campaign_NoChallengeOpen();
        }
        uint256 number = _queue.next;
        if (chunk != _challenges[number].chunk) {
            revert Campaign_NotNextChallenge({expected: _challenges[number].chunk, actual: chunk});
        }
        _checkContent(contentRoot, contentSize);
        if (!ContentProof.verify(contentRoot, contentSize, chunk, data, path)) {
            revert Campaign_WrongChunk(chunk);
        }

        // Effect
        Bond storage bond = _bonds[l.attested()][chunk];
        uint256 amount = bond.amount;
        bond.amount = 0;
        _queue.next = uint128(number + 1);
        // Zero where nobody has challenged yet: then no challenge is open.
        _ledger = l.withChallengedAt(_challenges[number + 1].openedAt);
        emit ChallengeAnswered({milestone: uint8(l.attested() - 1), chunk: chunk, answerer: msg.sender, bond: amount});

        // Interaction
        Address.sendValue(payable(msg.sender), amount);
    }

    /// @inheritdoc ICampaign
    function returnBond(uint64 chunk, address recipient) external nonReentrant {
        PackedLedger.Word l = _ledger;

        // Check
        _requireStatus(_terms(), l, Status.Failed);
        _checkRecipient(recipient);
        // Only the latest attestation can have open challenges.
        Bond storage bond = _bonds[l.attested()][chunk];
        uint256 amount = bond.amount;
        if (amount == 0 || bond.challenger != msg.sender) {
            revert Campaign_NotChallenger({caller: msg.sender, chunk: chunk});
        }

        // Effect
        bond.amount = 0;
        emit BondReturned({
            milestone: uint8(l.attested() - 1), chunk: chunk, challenger: msg.sender, recipient: recipient, bond: amount
        });

        // Interaction
        Address.sendValue(payable(recipient), amount);
    }

    // =============================================================== arbiter

    /// @inheritdoc ICampaign
    /// @dev Needs no guard: it calls nobody. Nothing counts the contests, so that a sham one uses up nothing: the window
    /// never ends later than a challenge and a ruling window after the attestation.
    function contest() external {
        Memory.Slice t = _terms();
        PackedLedger.Word l = _ledger;

        // Check
        _checkArbiter(t, l);
        if (l.contested()) {
            revert Campaign_AlreadyContested();
        }
        _checkWindow(t, l);

        // Effect
        l = l.withContested(true);
        _ledger = l;
        emit Contested({ruleBy: _windowEnd(t, l)});
    }

    /// @inheritdoc ICampaign
    /// @dev Needs no guard: it calls nobody.
    function rule(bool upheld) external {
        Memory.Slice t = _terms();
        PackedLedger.Word l = _ledger;

        // Check
        _checkArbiter(t, l);
        if (!l.contested()) {
            revert Campaign_NotContested();
        }
        _checkWindow(t, l);

        // Effect
        _ledger = upheld ? l.withContested(false) : l.withStop({withholding: true});
        emit Ruled(upheld);
    }

    // ============================================================ researcher

    /// @inheritdoc ICampaign
    function activate() external nonReentrant {
        Memory.Slice t = _terms();
        PackedLedger.Word l = _ledger;

        // Check
        _requireStatus(t, l, Status.Funding);
        if (l.pledged() < t.goal()) {
            revert Campaign_GoalNotMet({goal: t.goal(), pledged: l.pledged()});
        }
        bool closed = block.timestamp >= t.fundingDeadline() || l.pledged() == t.cap();
        if (!closed && msg.sender != t.researcher()) {
            revert Campaign_FundingOpen(t.fundingDeadline());
        }

        // Effect
        bytes32 seed =
            keccak256(abi.encode(blockhash(block.number - 1), block.prevrandao, block.chainid, address(this)));
        _ledger = l.withActive();
        trainingSeed = seed;
        _votes = Votes({support: 0, opensAt: uint40(block.timestamp + VOTE_DELAY)});
        emit Activated({pledged: l.pledged(), trainingSeed: seed});
    }

    /// @inheritdoc ICampaign
    function extendDeadlines(uint32 bySeconds) external {
        Memory.Slice t = _terms();
        PackedLedger.Word l = _ledger;

        // Check
        _checkResearcher(t);
        _requireStatus(t, l, Status.Active);
        _checkIndex(t, l.attested());
        if (bySeconds == 0) {
            revert Campaign_ZeroAmount();
        }
        uint256 used = l.slackUsed() + bySeconds;
        if (used > t.slack()) {
            revert Campaign_SlackExceeded({slack: t.slack(), wouldBe: used});
        }

        // Effect
        _ledger = l.withSlackUsed(used);
        emit DeadlinesExtended({bySeconds: bySeconds, slackUsed: uint32(used)});
    }

    /// @inheritdoc ICampaign
    function postUpdate(bytes32 manifest) external {
        _checkResearcher(_terms());
        emit UpdatePosted(manifest);
    }

    // ===================================================== attestors, payees

    /// @inheritdoc ICampaign
    function attest(MilestoneAttestation calldata attestation, uint256 signers, bytes[] calldata signatures)
        external
        nonReentrant
    {
        Memory.Slice t = _terms();
        PackedLedger.Word l = _ledger;

        // Check
        _requireStatus(t, l, Status.Active);
        if (attestation.milestone != l.attested()) {
            revert Campaign_WrongMilestone({expected: l.attested(), actual: attestation.milestone});
        }
        // Once all milestones are attested, an active campaign's window is open: the index below is in range.
        if (l.challengedAt() != 0) {
            revert Campaign_ChallengeOpen(l.challengedAt() + t.answerWindow());
        }
        if (l.attested() != 0 && block.timestamp < _windowEnd(t, l)) {
            revert Campaign_WindowOpen(_windowEnd(t, l));
        }
        _checkAttestation(t, attestation);
        _checkSignatures(t, attestation, signers, signatures);

        // Effect
        _ledger = l.withAttestation();
        _latestEvidence = attestation.evidence;
        latestContent = _commitment(attestation.contentRoot, attestation.contentSize);
        emit MilestoneAttested({
            milestone: attestation.milestone, evidence: attestation.evidence, attestation: attestation, signers: signers
        });
    }

    /// @inheritdoc ICampaign
    function claim(uint256 payee, address recipient) external nonReentrant {
        Memory.Slice t = _terms();

        // Check
        if (payee >= t.payeeCount() || msg.sender != t.payeeAccount(payee)) {
            revert Campaign_NotPayee({caller: msg.sender, payee: payee});
        }
        _checkRecipient(recipient);
        uint256 total = _entitlement(t, _ledger, payee);
        uint256 amount = total - claimed[payee];
        if (amount == 0) {
            revert Campaign_NothingToClaim();
        }

        // Effect
        claimed[payee] = total;
        emit Claimed({payee: payee, recipient: recipient, amount: amount});

        // Interaction
        _send(t, recipient, amount);
    }

    // ================================================================= views

    /// @inheritdoc ICampaign
    function terms() external view returns (Terms memory) {
        return _terms().unpack();
    }

    /// @inheritdoc ICampaign
    function status() external view returns (Status) {
        return _status(_terms(), _ledger);
    }

    /// @inheritdoc ICampaign
    function ledger() external view returns (Ledger memory) {
        return _ledger.unpack();
    }

    /// @inheritdoc ICampaign
    function latestEvidence() external view returns (bytes32) {
        return _parent(_terms());
    }

    /// @inheritdoc ICampaign
    function deadlineOf(uint256 milestone) external view returns (uint256) {
        Memory.Slice t = _terms();
        _checkIndex(t, milestone);
        return t.milestoneDeadline(milestone) + _ledger.slackUsed();
    }

    /// @inheritdoc ICampaign
    function released() external view returns (uint256) {
        return _released(_terms(), _ledger);
    }

    /// @inheritdoc ICampaign
    function pledgeOf(address backer) public view returns (uint256) {
        return uint128(_backers[backer]);
    }

    /// @inheritdoc ICampaign
    function hasVotedStop(address backer) public view returns (bool) {
        return _backers[backer] >= VOTED_STOP;
    }

    /// @inheritdoc ICampaign
    function stopSupport() external view returns (uint256) {
        return _votes.support;
    }

    /// @inheritdoc ICampaign
    function votesFrom() external view returns (uint256) {
        return _votes.opensAt;
    }

    /// @inheritdoc ICampaign
    function refundable(address backer) external view returns (uint256) {
        Memory.Slice t = _terms();
        PackedLedger.Word l = _ledger;
        return _status(t, l) == Status.Failed ? _refundOf(t, l, backer) : 0;
    }

    /// @inheritdoc ICampaign
    function claimable(uint256 payee) external view returns (uint256) {
        Memory.Slice t = _terms();
        if (payee >= t.payeeCount()) {
            revert Campaign_NotPayee({caller: msg.sender, payee: payee});
        }
        return _entitlement(t, _ledger, payee) - claimed[payee];
    }

    /// @inheritdoc ICampaign
    function openChallenges() external view returns (uint256) {
        return _queue.end - _queue.next;
    }

    /// @inheritdoc ICampaign
    function openChallenge(uint256 position) external view returns (Challenge memory) {
        if (position >= _queue.end - _queue.next) {
            revert Campaign_NoChallengeOpen();
        }
        QueuedChallenge memory queued = _challenges[_queue.next + position];
        Bond memory bond = _bonds[_ledger.attested()][queued.chunk];
        return
            Challenge({chunk: queued.chunk, openedAt: queued.openedAt, challenger: bond.challenger, bond: bond.amount});
    }

    /// @inheritdoc ICampaign
    function requiredBond() external view returns (uint256) {
        return _requiredBond(_terms(), _queue);
    }

    /// @inheritdoc ICampaign
    function attestationDigest(MilestoneAttestation calldata attestation) external view returns (bytes32) {
        return _digest(attestation);
    }

    /// @inheritdoc IERC5267
    function eip712Domain()
        external
        view
        returns (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        )
    {
        // Fields 0x0f: name, version, chain id and contract are used, salt and extensions are not.
        return (hex"0f", DOMAIN_NAME, DOMAIN_VERSION, block.chainid, address(this), bytes32(0), new uint256[](0));
    }

    // ========================================================= status, money

    function _terms() private view returns (Memory.Slice) {
        if (address(this) == SELF) {
            revert Campaign_NotAClone();
        }
        return Clones.fetchCloneArgs(address(this)).asSlice();
    }

    function _status(Memory.Slice t, PackedLedger.Word l) private view returns (Status) {
        if (!l.active()) {
            // The first milestone's deadline lies behind the funding deadline.
            if (block.timestamp < t.fundingDeadline()) {
                return Status.Funding;
            }
            return l.pledged() < t.goal() || block.timestamp >= t.milestoneDeadline(0) ? Status.Failed : Status.Funding;
        }
        if (l.stopped()) {
            return Status.Failed;
        }
        if (l.challengedAt() != 0) {
            // Milestones lie far enough apart for the last answer to come before the next deadline.
            return block.timestamp >= l.challengedAt() + t.answerWindow() ? Status.Failed : Status.Active;
        }
        if (l.attested() == t.milestoneCount()) {
            return block.timestamp >= _windowEnd(t, l) ? Status.Completed : Status.Active;
        }
        return block.timestamp >= t.milestoneDeadline(l.attested()) + l.slackUsed() ? Status.Failed : Status.Active;
    }

    /// @dev Unix seconds at which the latest attestation's window is over. Only the last one can be contested, so that
    /// no deadline waits for a ruling.
    function _windowEnd(Memory.Slice t, PackedLedger.Word l) private pure returns (uint256) {
        uint256 end = l.attestedAt() + t.challengeWindow();
        return l.contested() ? end + t.rulingWindow() : end;
    }

    /// @dev Whether the latest attestation's tranche still waits: for its window, or for an answer.
    function _withholds(Memory.Slice t, PackedLedger.Word l) private view returns (bool) {
        return l.challengedAt() != 0 || block.timestamp < _windowEnd(t, l);
    }

    /// @dev Number of milestones whose tranche is released. Once the campaign has failed this never changes: a stop or a
    /// ruling that came first withholds the tranche for good, a challenge that was not answered stays open, and
    /// deadlines lie further apart than window and answer take.
    function _releasedCount(Memory.Slice t, PackedLedger.Word l) private view returns (uint256) {
        if (l.attested() == 0) {
            return 0;
        }
        return l.withheld() || _withholds(t, l) ? l.attested() - 1 : l.attested();
    }

    function _released(Memory.Slice t, PackedLedger.Word l) private view returns (uint256) {
        uint256 count = _releasedCount(t, l);
        return count == 0 ? 0 : l.pledged() * t.cumulativeBps(count - 1) / BPS;
    }

    /// @dev Everything that was ever released to a payee. Tranches come from cumulative shares, so that they sum to the
    /// pool; inside a tranche the last payee takes what rounding leaves, so that shares sum to the tranche.
    function _entitlement(Memory.Slice t, PackedLedger.Word l, uint256 payee) private view returns (uint256 total) {
        uint256 count = _releasedCount(t, l);
        bool last = payee + 1 == t.payeeCount();
        uint256 before = 0;
        for (uint256 i = 0; i < count; ++i) {
            uint256 cumulative = l.pledged() * t.cumulativeBps(i) / BPS;
            uint256 tranche = cumulative - before;
            before = cumulative;
            if (last) {
                total += tranche;
                for (uint256 j = 0; j < payee; ++j) {
                    total -= tranche * t.payeeBps(j) / BPS;
                }
            } else {
                total += tranche * t.payeeBps(payee) / BPS;
            }
        }
    }

    /// @dev Depends on the pledge and two totals that are frozen once the campaign has failed, so the order of refunds
    /// does not matter. Rounded down; the escrow keeps less than one unit a backer.
    function _refundOf(Memory.Slice t, PackedLedger.Word l, address backer) private view returns (uint256) {
        uint256 own = pledgeOf(backer);
        // Two numbers of 128 bits: the product fits.
        return own == 0 ? 0 : own * (l.pledged() - _released(t, l)) / l.pledged();
    }

    function _refund(address backer, address recipient) private {
        Memory.Slice t = _terms();
        PackedLedger.Word l = _ledger;

        // Check
        _requireStatus(t, l, Status.Failed);
        uint256 amount = _refundOf(t, l, backer);
        if (amount == 0) {
            revert Campaign_NothingToRefund(backer);
        }

        // Effect
        delete _backers[backer];
        emit Refunded({backer: backer, recipient: recipient, amount: amount});

        // Interaction
        _send(t, recipient, amount);
    }

    function _pledgeToken(Memory.Slice t, address backer, uint256 amount) private {
        PackedLedger.Word l = _ledger;
        IERC20 token = IERC20(t.asset());

        // Check
        if (address(token) == address(0)) {
            revert Campaign_WrongAsset(address(0));
        }
        uint256 cap = _checkPledge(t, l, backer);

        // Interaction, ahead of the effect because only the balance tells what arrived. The guard keeps every function
        // that changes the ledger or moves the token out shut meanwhile.
        uint256 balance = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = Math.min(token.balanceOf(address(this)) - balance, amount);

        // Effect
        _credit(l, cap, backer, received);
    }

    function _credit(PackedLedger.Word l, uint256 cap, address backer, uint256 amount) private {
        if (amount == 0) {
            revert Campaign_ZeroAmount();
        }
        uint256 total = l.pledged() + amount;
        if (total > cap) {
            revert Campaign_CapExceeded({cap: cap, wouldBe: total});
        }
        _ledger = l.withPledged(total);
        _backers[backer] += amount;
        emit Pledged({backer: backer, payer: msg.sender, amount: amount});
    }

    function _send(Memory.Slice t, address recipient, uint256 amount) private {
        address asset = t.asset();
        if (asset == address(0)) {
            Address.sendValue(payable(recipient), amount);
        } else {
            IERC20(asset).safeTransfer(recipient, amount);
        }
    }

    // ================================================================ checks

    function _requireStatus(Memory.Slice t, PackedLedger.Word l, Status expected) private view {
        Status actual = _status(t, l);
        if (actual != expected) {
            revert Campaign_WrongStatus(actual);
        }
    }

    function _checkResearcher(Memory.Slice t) private view {
        if (msg.sender != t.researcher()) {
            revert Campaign_NotResearcher(msg.sender);
        }
    }

    function _checkArbiter(Memory.Slice t, PackedLedger.Word l) private view {
        if (msg.sender != t.arbiter()) {
            revert Campaign_NotArbiter(msg.sender);
        }
        _requireStatus(t, l, Status.Active);
        if (l.attested() != t.milestoneCount()) {
            revert Campaign_NothingToContest();
        }
    }

    function _checkWindow(Memory.Slice t, PackedLedger.Word l) private view {
        uint256 end = l.attested() == 0 ? 0 : _windowEnd(t, l);
        if (block.timestamp >= end) {
            revert Campaign_WindowOver(end);
        }
    }

    function _checkRecipient(address recipient) private view {
        if (recipient == address(0) || recipient == address(this)) {
            revert Campaign_BadRecipient(recipient);
        }
    }

    function _checkIndex(Memory.Slice t, uint256 milestone) private pure {
        uint256 last = t.milestoneCount() - 1;
        if (milestone > last) {
            revert Campaign_WrongMilestone({expected: last, actual: milestone});
        }
    }

    function _checkPledge(Memory.Slice t, PackedLedger.Word l, address backer) private view returns (uint256 cap) {
        uint256 deadline;
        (cap, deadline) = t.capAndFundingDeadline();
        if (l.active() || block.timestamp >= deadline) {
            _requireStatus(t, l, Status.Funding);
            revert Campaign_FundingOver(deadline);
        }
        _checkRecipient(backer);
    }

    function _checkAttestation(Memory.Slice t, MilestoneAttestation calldata a) private view {
        Milestone memory milestone = t.milestone(a.milestone);
        if (a.kind != milestone.kind) {
            revert Campaign_WrongKind({expected: milestone.kind, actual: a.kind});
        }
        if (block.timestamp >= a.expiry) {
            revert Campaign_AttestationExpired(a.expiry);
        }
        bytes32 parent = _parent(t);
        if (a.parent != parent) {
            revert Campaign_WrongParent({expected: parent, actual: a.parent});
        }
        if (a.kind == MilestoneKind.DATASET && t.dataset() != bytes32(0) && a.evidence != t.dataset()) {
            revert Campaign_WrongDataset({expected: t.dataset(), actual: a.evidence});
        }
        if (a.evidence == bytes32(0)) {
            revert Campaign_EmptyEvidence();
        }
        bool empty = a.contentSize == 0;
        if (empty != (a.contentRoot == bytes32(0)) || (empty && a.kind == MilestoneKind.WEIGHTS)) {
            revert Campaign_BadContent({contentRoot: a.contentRoot, contentSize: a.contentSize});
        }
        if (a.score < milestone.minScore) {
            revert Campaign_ScoreTooLow({minScore: milestone.minScore, actual: a.score});
        }
    }

    function _checkContent(bytes32 contentRoot, uint256 contentSize) private view {
        if (_commitment(contentRoot, contentSize) != latestContent) {
            revert Campaign_WrongContent({contentRoot: contentRoot, contentSize: contentSize});
        }
    }

    function _commitment(bytes32 contentRoot, uint256 contentSize) private pure returns (bytes32) {
        return keccak256(abi.encode(contentRoot, contentSize));
    }

    function _requiredBond(Memory.Slice t, Queue memory queue) private view returns (uint256) {
        uint256 base = Math.max(t.minBond(), ANSWER_GAS * block.basefee);
        return ChallengePrice.priceOf(base, queue.end - queue.next);
    }

    function _parent(Memory.Slice t) private view returns (bytes32) {
        bytes32 latest = _latestEvidence;
        return latest == bytes32(0) ? t.proposal() : latest;
    }

    /// @dev A bit mask can name each attestor only once, and fixes the order.
    function _checkSignatures(
        Memory.Slice t,
        MilestoneAttestation calldata attestation,
        uint256 signers,
        bytes[] calldata signatures
    ) private view {
        uint256 attestors = t.attestorCount();
        if (signers >> attestors != 0) {
            revert Campaign_UnknownSigner(signers);
        }
        uint256 count = 0;
        for (uint256 rest = signers; rest != 0; rest &= rest - 1) {
            ++count;
        }
        if (count < t.quorum()) {
            revert Campaign_QuorumNotMet({quorum: t.quorum(), actual: count});
        }
        if (count != signatures.length) {
            revert Campaign_QuorumNotMet({quorum: t.quorum(), actual: signatures.length});
        }
        bytes32 digest = _digest(attestation);
        uint256 next = 0;
        for (uint256 i = 0; i < attestors; ++i) {
            if ((signers >> i) & 1 == 1) {
                address attestor = t.attestor(i);
                if (!_signed(attestor, digest, signatures[next])) {
                    revert Campaign_BadSignature(attestor);
                }
                ++next;
            }
        }
    }

    /// @dev A key that signs for itself passes even where its account also has code (EIP-7702). A wallet's answer is
    /// taken once, here, and recorded by the attestation: what it would answer later does not matter.
    function _signed(address attestor, bytes32 digest, bytes calldata signature) private view returns (bool) {
        (address recovered, ECDSA.RecoverError problem,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (problem == ECDSA.RecoverError.NoError && recovered == attestor) {
            return true;
        }
        if (attestor.code.length == 0) {
            return false;
        }
        (bool success, bytes memory output) =
            attestor.staticcall{gas: WALLET_GAS}(abi.encodeCall(IERC1271.isValidSignature, (digest, signature)));
        return success && output.length >= 32 && bytes32(output) == bytes32(IERC1271.isValidSignature.selector);
    }

    function _digest(MilestoneAttestation calldata attestation) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                DOMAIN_TYPE_HASH,
                keccak256(bytes(DOMAIN_NAME)),
                keccak256(bytes(DOMAIN_VERSION)),
                block.chainid,
                address(this)
            )
        );
        return MessageHashUtils.toTypedDataHash(domain, keccak256(abi.encode(ATTESTATION_TYPE_HASH, attestation)));
    }
}
