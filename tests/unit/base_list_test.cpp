#include "base/list.h"

#include <doctest/doctest.h>

#include <list>
#include <string>
#include <vector>

#include "unit/base_random.h"

struct Insect {
    int id = 0;
    std::string name; // makes the layout a non-trivial one
    Link by_age;
    Link by_size;
};
using ByAge = List<Insect, &Insect::by_age>;
using BySize = List<Insect, &Insect::by_size>;

static std::vector<int> ids(ByAge *list) {
    std::vector<int> out;
    for (Insect *i = list->first(); i; i = list->next(i)) out.push_back(i->id);
    return out;
}

TEST_CASE("a list gives its elements in order from either end") {
    Insect a{1, "", {}, {}}, b{2, "", {}, {}}, c{3, "", {}, {}};
    ByAge list;
    CHECK(list.empty());
    CHECK(list.first() == nullptr);
    CHECK(list.pop_front() == nullptr);
    list.push_back(&b);
    list.push_back(&c);
    list.push_front(&a);
    CHECK(ids(&list) == std::vector<int>{1, 2, 3});
    CHECK(list.pop_front() == &a);
    CHECK_FALSE(link_on_list(&a.by_age));
    CHECK(link_on_list(&b.by_age));
    ByAge::remove(&c);
    CHECK(ids(&list) == std::vector<int>{2});
    ByAge::remove(&b);
    CHECK(list.empty());
}

TEST_CASE("removing what is on no list has no effect") {
    Insect a;
    ByAge::remove(&a);
    link_remove(&a.by_age);
    CHECK_FALSE(link_on_list(&a.by_age));
}

TEST_CASE("an element is on two lists at a time") {
    Insect a{1, "", {}, {}}, b{2, "", {}, {}};
    ByAge by_age;
    BySize by_size;
    by_age.push_back(&a);
    by_age.push_back(&b);
    by_size.push_back(&b);
    by_size.push_back(&a);
    CHECK(by_size.first() == &b);
    CHECK(by_size.next(&b) == &a);
    ByAge::remove(&a);
    CHECK(by_age.first() == &b);
    CHECK(by_size.next(&b) == &a);
    BySize::remove(&a);
    BySize::remove(&b);
    ByAge::remove(&b);
}

TEST_CASE("a list behaves like std::list") {
    Random random;
    INFO("KNUT_SEED=", random.seed);
    std::vector<Insect> insects(50);
    for (int i = 0; i < 50; i++) insects[static_cast<size_t>(i)].id = i;
    ByAge list;
    std::list<int> model;
    for (int round = 0; round < 5000; round++) {
        Insect *one = &insects[random.below(50)];
        if (link_on_list(&one->by_age)) {
            ByAge::remove(one);
            model.remove(one->id);
        } else if (random.one_in(2)) {
            list.push_back(one);
            model.push_back(one->id);
        } else {
            list.push_front(one);
            model.push_front(one->id);
        }
        REQUIRE(ids(&list) == std::vector<int>(model.begin(), model.end()));
    }
}
