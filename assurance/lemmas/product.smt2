; A product divided by one of its factors is the other.
; Needed for: no overflow. `_assumeProductFits` in tests/forge/proofs/MoneyProof.sol.
(declare-const a Int)
(declare-const b Int)
(assert (> a 0))
(assert (>= b 0))
(check-sat)
(assert (not (= (div (* a b) a) b)))
(check-sat)
